package supervise

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
)

// How the limits of processes are watched over. One look reads one small file of /proc for each process.
const (
	guardEvery  = time.Second      // where a process has a limit of memory
	guardSeldom = 5 * time.Second  // where none has: an idle pgo that wakes up costs more than the look
	warnMemory  = 90               // percent of its limit
	warnCPU     = 85               // percent of all processors
	calmBelow   = 10               // percent below, a warning is over
	cpuOver     = 10 * time.Second // that the CPU's use is the mean of
	memoryPause = 30 * time.Second
)

// instanceUsage holds what an instance has used at the last looks, and which warnings were published.
type instanceUsage struct {
	pid              int
	cpu              []cpuSample // of the last looks
	hot, large, over bool        // it was said
	answered         time.Time   // when its memory was answered last
}

// cpuSample is the CPU time that a process had used at a time.
type cpuSample struct {
	at   time.Time
	used time.Duration
}

// WatchLimits warns of processes that come near their limits, and replaces those that exceed their memory limit, until ctx
// ends. changed is notified when limits may have changed.
func WatchLimits(ctx context.Context, set *Set, changed <-chan struct{}) {
	every := time.NewTicker(guardEvery)
	defer every.Stop()
	seen := map[state.InstanceID]*instanceUsage{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		case <-changed: // there may be limits now
		}
		known, next := seen, guardSeldom
		seen = map[state.InstanceID]*instanceUsage{}
		for _, p := range set.ByName() {
			if p.Spec().Limits.Memory > 0 {
				next = guardEvery
			}
			for _, i := range p.Instances() {
				k := i.Child()
				if k == nil {
					i.clearWarnings()
					continue
				}
				s, err := proc.ReadStat(k.Handle.PID)
				if err != nil || s.Start != k.Handle.StartTicks {
					i.clearWarnings()
					continue
				}
				u := known[i.ID]
				if u == nil {
					u = &instanceUsage{}
				}
				if u.pid != k.Handle.PID {
					u = &instanceUsage{pid: k.Handle.PID, answered: u.answered}
				}
				seen[i.ID] = u
				u.check(i, s, k, time.Now())
			}
		}
		every.Reset(next)
	}
}

// clearWarnings ends the warnings of an instance that does not run.
func (i *Instance) clearWarnings() {
	i.Hot.Store(false)
	i.Large.Store(false)
}

// check compares what the main process of an instance uses now with its limits.
func (u *instanceUsage) check(i *Instance, s proc.Stat, k *Child, now time.Time) {
	warn := func(said *bool, now bool, text string) {
		if now && !*said {
			i.Process.Deps.Store.PublishEvent(i.ID, k.Handle.PID, i.Process.Deps.Store.Get(i.ID).Process.Status, i.Process.Deps.Store.Get(i.ID).Process.Status, text)
		}
		*said = now
	}
	u.cpu = append(u.cpu, cpuSample{now, s.CPU})
	last := u.cpu[len(u.cpu)-1]
	for len(u.cpu) > 1 && last.at.Sub(u.cpu[1].at) >= cpuOver {
		u.cpu = u.cpu[1:]
	}
	if over := last.at.Sub(u.cpu[0].at); over >= cpuOver {
		percent := int(100 * (last.used - u.cpu[0].used) / (over * time.Duration(runtime.NumCPU())))
		warn(&u.hot, percent >= warnCPU || u.hot && percent >= warnCPU-calmBelow,
			fmt.Sprintf("warning: it uses %d %% of all processors", percent))
	}
	i.Hot.Store(u.hot)
	defer func() { i.Large.Store(u.large) }()
	limit := i.Process.Spec().Limits.Memory
	if limit == 0 {
		u.large = false
		return
	}
	percent := int(100 * s.Memory / limit)
	warn(&u.large, percent >= warnMemory || u.large && percent >= warnMemory-calmBelow,
		fmt.Sprintf("warning: it uses %.1f MB, %d %% of its memory limit", float64(s.Memory)/1e6, percent))
	if s.Memory <= limit || i.Process.Deps.Store.Get(i.ID).Process.Status == control.Reloading {
		return // or it goes anyway
	}
	text := memoryLimitReason(s.Memory, limit)
	if i.Process.policy.HandleFault(i.Process, k.Program, errors.New(text)) {
		return // what it runs goes
	}
	if now.Sub(u.answered) < memoryPause {
		warn(&u.over, true, text+"; it was replaced for that less than "+memoryPause.String()+" ago")
		return
	}
	u.answered = now
	warn(&u.over, true, text+": it is replaced")
	go i.replaceForMemory()
}

func memoryLimitReason(memory, limit int64) string {
	return fmt.Sprintf("it uses %.1f MB, its memory limit is %.1f MB", float64(memory)/1e6, float64(limit)/1e6)
}

// replaceForMemory replaces the child, without a gap if its reload mode allows it.
func (i *Instance) replaceForMemory() {
	if i.Process.Spec().Reload.Mode == processfile.ReloadBeside {
		if err := i.Replace(context.Background()); err != nil { // a stop ends it
			i.Process.Deps.Log.Warn("replace a process for its memory", "process", i.Process.Name, "error", err)
		}
		return
	}
	if i.Process.Deps.Store.Get(i.ID).Process.Status == control.Ready {
		i.Stop()
		i.Start()
	}
}

// CheckMemoryLimit returns an error if an instance uses more memory than its limit now.
func (p *Process) CheckMemoryLimit() error {
	limit := p.Spec().Limits.Memory
	for _, i := range p.Instances() {
		k := i.Child()
		if k == nil || limit == 0 {
			continue
		}
		if s, err := proc.ReadStat(k.Handle.PID); err == nil && s.Start == k.Handle.StartTicks && s.Memory > limit {
			return errors.New(memoryLimitReason(s.Memory, limit))
		}
	}
	return nil
}
