package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/logfile"
	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/stoporder"
)

// Leftovers returns the processes that a killed pgo left behind and that still live, in whole or in part. Only the holder
// of the home's lock may trust it.
func Leftovers(h home.Home) ([]Leftover, error) {
	content, err := os.ReadFile(h.ProcessesPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what runs: %w", err)
	}
	entries := map[string]Leftover{}
	if err := json.Unmarshal(content, &entries); err != nil {
		return nil, fmt.Errorf("read what runs: %s: %w", h.ProcessesPath(), err)
	}
	var alive []Leftover
	for _, l := range entries {
		left, err := l.sessionMembers()
		if err != nil {
			return nil, fmt.Errorf("look for %s: %w", l.Name, err)
		}
		if len(left) > 0 {
			alive = append(alive, l)
		}
	}
	return alive, nil
}

// StopLeftovers stops leftovers, dependents first, and calls each as one has ended.
func StopLeftovers(h home.Home, leftovers []Leftover, each func(Leftover)) {
	byName, ranks := map[string][]Leftover{}, map[string]stoporder.Rank{}
	for _, l := range leftovers {
		byName[l.Name], ranks[l.Name] = append(byName[l.Name], l), stoporder.Rank{Kind: l.Kind, After: l.After}
	}
	stoporder.StopInReverse(stoporder.FindDependents(ranks), func(name string) {
		var all sync.WaitGroup
		for _, l := range byName[name] {
			all.Go(func() {
				l.terminate(h)
				each(l)
			})
		}
		all.Wait()
	})
}

// sessionMembers returns the living processes of the leftover's session.
func (l Leftover) sessionMembers() ([]proc.Stat, error) {
	if l.Boot != proc.ReadBootID() {
		return nil, nil
	}
	return proc.LivingSession(l.PID, l.Start)
}

// terminate asks the main process to end, waits for it and for what it has started until the stop timeout, and kills what
// is left. A child that was asked before, perhaps by an earlier manager, is not asked again.
func (l Leftover) terminate(h home.Home) {
	stop := l.drainOutput(h)
	defer stop()
	main, _ := l.sessionMembers() // without an answer it is killed in the end
	for _, s := range main {
		if s.PID == l.PID {
			_ = s.Signal(unix.SignalNum(l.Stop.Signal)) // one that has gone is as good
		}
	}
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(l.Stop.Timeout)
	for {
		if left, err := l.sessionMembers(); err == nil && len(left) == 0 {
			return
		}
		select {
		case <-poll.C:
			continue
		case <-deadline:
		}
		proc.KillSession(l.PID, l.Start)
		return
	}
}

// drainOutput writes what the leftover prints to its log. Nothing has read its pipes since its keeper was killed, and a
// process that waits for a full pipe could not end by itself.
func (l Leftover) drainOutput(h home.Home) (stop func()) {
	var pumps []*logfile.Collector
	ctx, cancel := context.WithCancel(context.Background())
	seen := map[string]bool{}
	for i, path := range []string{h.LogPath(l.Name), h.ErrLogPath(l.Name)} {
		file := fmt.Sprintf("/proc/%d/fd/%d", l.PID, i+1)
		target, err := os.Readlink(file)
		if err != nil || !strings.HasPrefix(target, "pipe:") || seen[target] {
			continue
		}
		seen[target] = true
		pipe, err := unix.Open(file, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		if p, err := logfile.NewCollector(pipe, logfile.NewWriter(path, logfile.Policy{}), nil); err == nil {
			pumps = append(pumps, p)
			go p.Run(ctx)
		}
		_ = unix.Close(pipe)
	}
	return func() {
		cancel()
		for _, p := range pumps {
			<-p.Done()
		}
	}
}
