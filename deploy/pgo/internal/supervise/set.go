package supervise

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/sockets"
	"pgo/deploy/pgo/internal/stoporder"
)

// ErrDown is returned by whatever would start something while everything is being stopped.
var ErrDown = errors.New("pgo is going down")

// Set holds the processes of a process file. Its methods may be called concurrently.
type Set struct {
	Policy ReleasePolicy // of all processes; set before the first one is created
	ended  chan struct{} // closed when everything was stopped for good

	context context.Context // ends when everything is to be stopped
	end     context.CancelCauseFunc

	mu        sync.Mutex // guards the fields below; never held while something is waited for
	file      processfile.File
	processes map[string]*Process
	isDown    bool
}

// NewSet returns an empty set.
func NewSet() *Set {
	s := &Set{processes: map[string]*Process{}, ended: make(chan struct{})}
	s.context, s.end = context.WithCancelCause(context.Background())
	return s
}

// Root returns the directory that processes run in by default.
func (s *Set) Root() string { return s.File().Root }

// File returns the process file, as scaled and deleted from since it was applied.
func (s *Set) File() processfile.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file
}

// SetFile replaces the process file; the processes stay.
func (s *Set) SetFile(f processfile.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file = f
}

// IsDown reports whether everything is being stopped, or was.
func (s *Set) IsDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isDown
}

// MarkDown makes the set refuse to start anything from now on, and ends its context.
func (s *Set) MarkDown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isDown = true
	s.end(ErrDown)
}

// Context returns a context that ends with ErrDown when everything is to be stopped.
func (s *Set) Context() context.Context { return s.context }

// MarkEnded closes Ended. It may be called once.
func (s *Set) MarkEnded() { close(s.ended) }

// Ended is closed when everything was stopped for good.
func (s *Set) Ended() <-chan struct{} { return s.ended }

// Lookup returns the process of that name, or nil.
func (s *Set) Lookup(name string) *Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.processes[name]
}

// ByName returns all processes by name.
func (s *Set) ByName() map[string]*Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.processes)
}

// Choose changes the program of the next starts.
func (s *Set) Choose(names []string) (map[string]*Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	chosen := map[string]*Process{}
	for _, name := range names {
		if name == "all" {
			name = "*"
		}
		found := false
		for known, p := range s.processes {
			match, err := path.Match(name, known)
			if err != nil {
				return nil, fmt.Errorf("pattern %q: %w", name, err)
			}
			if match {
				chosen[known], found = p, true
			}
		}
		if !found && name != "*" {
			return nil, fmt.Errorf("there is no process %q; there are %s", name, strings.Join(SortedNames(s.processes), ", "))
		}
	}
	return chosen, nil
}

// Update creates the processes that the file has and the set has not, and configures the others for their next start. It
// returns the instances that are too many, which the caller closes.
func (s *Set) Update(h *Deps, f processfile.File, open sockets.Listeners) (extra []*Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file = f
	for _, spec := range f.Processes {
		shared := open.ForProcess(spec)
		p := s.processes[spec.Name]
		if p == nil {
			s.processes[spec.Name] = newProcess(h, s.Policy, spec, shared)
			continue
		}
		p.configure(spec, shared)
		extra = append(extra, p.Resize(spec.Instances)...)
	}
	return extra
}

// Rows returns all instances as they are first shown, in the order of the file.
func (s *Set) Rows() []control.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []control.Process
	for _, spec := range s.file.Processes {
		if p := s.processes[spec.Name]; p != nil {
			rows = append(rows, p.initialRows()...)
		}
	}
	return rows
}

// Close stops processes for good, dependents first, and removes them from the set.
func (s *Set) Close(chosen map[string]*Process) {
	stoporder.StopInReverse(stopOrder(chosen), func(name string) { chosen[name].Close() })
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range chosen {
		delete(s.processes, name)
	}
}

// StopAll stops processes, dependents first, and returns when they have ended.
func StopAll(processes map[string]*Process) {
	stoporder.StopInReverse(stopOrder(processes), func(name string) { processes[name].Stop() })
}

// stopOrder returns which processes each process comes after.
func stopOrder(processes map[string]*Process) map[string][]string {
	ranks := map[string]stoporder.Rank{}
	for name, p := range processes {
		spec := p.Spec()
		ranks[name] = stoporder.Rank{Kind: spec.Kind, After: spec.After}
	}
	return stoporder.FindDependents(ranks)
}

// SortedNames returns the keys in order.
func SortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
