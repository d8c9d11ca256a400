package manager

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

// usage is what is known of the process in a slot.
type usage struct {
	pid              int
	cpu              []usedCPU // of the last looks
	hot, large, over bool      // it was said
	answered         time.Time // when its memory was answered last
}

// usedCPU is what a process had used at a look.
type usedCPU struct {
	at   time.Time
	used time.Duration
}

// guard sees that processes stay within their limits, and warns before, until ctx ends.
func (m *Manager) guard(ctx context.Context) {
	every := time.NewTicker(guardEvery)
	defer every.Stop()
	seen := map[state.InstanceID]*usage{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		case <-m.changed: // there may be limits now
		}
		known, next := seen, guardSeldom
		seen = map[state.InstanceID]*usage{}
		for _, p := range m.everyone() {
			if p.current().Limits.Memory > 0 {
				next = guardEvery
			}
			for _, i := range p.all() {
				k := i.runs()
				if k == nil {
					i.calm()
					continue
				}
				s, err := proc.ReadStat(k.Child.PID)
				if err != nil || s.Start != k.Child.StartTicks {
					i.calm()
					continue
				}
				u := known[i.slot]
				if u == nil {
					u = &usage{}
				}
				if u.pid != k.Child.PID {
					u = &usage{pid: k.Child.PID, answered: u.answered}
				}
				seen[i.slot] = u
				u.judge(i, s, k, time.Now())
			}
		}
		every.Reset(next)
	}
}

// calm ends the warnings of a process that does not run.
func (i *instance) calm() {
	i.hot.Store(false)
	i.large.Store(false)
}

// judge compares what the main process of an instance uses now with what it may.
func (u *usage) judge(i *instance, s proc.Stat, k *child, now time.Time) {
	warn := func(said *bool, now bool, text string) {
		if now && !*said {
			i.process.host.board.PublishEvent(i.slot, k.Child.PID, i.process.host.board.Get(i.slot).Process.Status, i.process.host.board.Get(i.slot).Process.Status, text)
		}
		*said = now
	}
	u.cpu = append(u.cpu, usedCPU{now, s.CPU})
	last := u.cpu[len(u.cpu)-1]
	for len(u.cpu) > 1 && last.at.Sub(u.cpu[1].at) >= cpuOver {
		u.cpu = u.cpu[1:]
	}
	if over := last.at.Sub(u.cpu[0].at); over >= cpuOver {
		percent := int(100 * (last.used - u.cpu[0].used) / (over * time.Duration(runtime.NumCPU())))
		warn(&u.hot, percent >= warnCPU || u.hot && percent >= warnCPU-calmBelow,
			fmt.Sprintf("warning: it uses %d %% of all processors", percent))
	}
	i.hot.Store(u.hot)
	defer func() { i.large.Store(u.large) }()
	limit := i.process.current().Limits.Memory
	if limit == 0 {
		u.large = false
		return
	}
	percent := int(100 * s.Memory / limit)
	warn(&u.large, percent >= warnMemory || u.large && percent >= warnMemory-calmBelow,
		fmt.Sprintf("warning: it uses %.1f MB, %d %% of its memory limit", float64(s.Memory)/1e6, percent))
	if s.Memory <= limit || i.process.host.board.Get(i.slot).Process.Status == control.Reloading {
		return // or it goes anyway
	}
	text := outgrown(s.Memory, limit)
	if i.blame(k, errors.New(text)) {
		return // what it runs goes
	}
	if now.Sub(u.answered) < memoryPause {
		warn(&u.over, true, text+"; it was made new for that less than "+memoryPause.String()+" ago")
		return
	}
	u.answered = now
	warn(&u.over, true, text+": it is made new")
	go i.renew()
}

func outgrown(memory, limit int64) string {
	return fmt.Sprintf("it uses %.1f MB, its memory limit is %.1f MB", float64(memory)/1e6, float64(limit)/1e6)
}

// renew replaces the process in a slot, beside it where that may be.
func (i *instance) renew() {
	if i.process.current().Reload.Mode == processfile.ReloadBeside {
		if err := i.replace(); err != nil {
			i.process.host.log.Warn("made new for its memory", "process", i.process.name, "error", err)
		}
		return
	}
	if i.process.host.board.Get(i.slot).Process.Status == control.Ready {
		i.stop()
		i.start()
	}
}
