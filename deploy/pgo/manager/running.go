package manager

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/home"
	"pgo/deploy/pgo/proc"
	"pgo/deploy/pgo/processfile"
)

// running is the file that says what runs. A manager that is killed cannot stop its children, so the next one has to
// find them.
type running struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	entries map[string]Leftover
}

// Leftover is a process that was started and not yet seen to end.
type Leftover struct {
	Name  string           `json:"name"`
	PID   int              `json:"pid"`
	Start uint64           `json:"start"` // with Boot and PID, this process and no later one
	Boot  string           `json:"boot"`
	After []string         `json:"after"`
	Stop  processfile.Stop `json:"stop"`
}

func (r *running) add(spec processfile.Process, pid int) {
	s, err := proc.Read(pid)
	if err != nil {
		r.log.Error("look at a new process", "process", spec.Name, "error", err)
		return
	}
	r.change(func() {
		r.entries[spec.Name] = Leftover{
			Name: spec.Name, PID: pid, Start: s.Start, Boot: proc.Boot(), After: spec.After, Stop: spec.Stop,
		}
	})
}

func (r *running) forget(name string) { r.change(func() { delete(r.entries, name) }) }

func (r *running) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	content, err := json.Marshal(r.entries)
	if err == nil {
		err = home.Replace(r.path, content)
	}
	if err != nil {
		// A full disk must not stop a process: what is lost is only finding it after a crash of the manager.
		r.log.Error("write down what runs", "error", err)
	}
}

// Leftovers returns the processes that a killed manager left behind and that still live, in whole or in part. Only the
// holder of the home's lock may trust it.
func Leftovers(h home.Home) ([]Leftover, error) {
	content, err := os.ReadFile(h.Running())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what runs: %w", err)
	}
	entries := map[string]Leftover{}
	if err := json.Unmarshal(content, &entries); err != nil {
		return nil, fmt.Errorf("read what runs: %s: %w", h.Running(), err)
	}
	var alive []Leftover
	for _, l := range entries {
		if len(l.members()) > 0 {
			alive = append(alive, l)
		}
	}
	return alive, nil
}

// StopLeftovers stops them, dependents first, and tells each as it is done.
func StopLeftovers(leftovers []Leftover, each func(Leftover)) {
	byName, after := map[string]Leftover{}, map[string][]string{}
	for _, l := range leftovers {
		byName[l.Name], after[l.Name] = l, l.After
	}
	inReverse(after, func(name string) {
		byName[name].stop()
		each(byName[name])
	})
}

// members are the living processes of the leftover's session.
func (l Leftover) members() []proc.Stat {
	if l.PID <= 1 || l.Boot != proc.Boot() {
		return nil
	}
	if main, err := proc.Read(l.PID); err == nil && main.Start != l.Start {
		return nil // the number has another owner, so nothing of the old session is left
	}
	var members []proc.Stat
	for _, s := range proc.Sessions(l.PID)[l.PID] {
		if s.Start >= l.Start {
			members = append(members, s)
		}
	}
	return members
}

func (l Leftover) stop() {
	for _, s := range l.members() {
		if s.PID == l.PID {
			_ = s.Signal(unix.SignalNum(l.Stop.Signal)) // one that has gone is as good
		}
	}
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(l.Stop.Timeout)
	for len(l.members()) > 0 {
		select {
		case <-poll.C:
			continue
		case <-deadline:
		}
		for _, s := range l.members() {
			_ = s.Signal(syscall.SIGKILL)
		}
		killSession(l.PID, l.Start)
		return
	}
}
