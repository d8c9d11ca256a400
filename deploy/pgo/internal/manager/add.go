package manager

import (
	"fmt"
	"slices"

	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/supervise"
)

// AddProcess adds a process without listeners to those of the process file, and starts it. It stays until a process file is
// applied. Other processes are left alone.
func (m *Manager) AddProcess(spec processfile.Process) error {
	<-m.cleaned
	m.applying.Lock()
	defer m.applying.Unlock()
	switch {
	case m.set.IsDown():
		return supervise.ErrDown
	case m.set.Lookup(spec.Name) != nil:
		return fmt.Errorf("there is a process %s already: give this one another name with --name, or pgo restart %s", spec.Name, spec.Name)
	case len(spec.Listeners) > 0 || spec.Watch.Enabled:
		return fmt.Errorf("%s has listeners or is watched: it takes a process file", spec.Name)
	}
	f := m.set.File()
	if f.Root == "" {
		f.Root = spec.Dir
	}
	f.Processes = append(slices.Clone(f.Processes), spec)
	m.set.SetFile(f)
	m.keepFile(f)
	m.set.Update(m.deps, f, m.listeners)
	m.deps.Store.Reset(m.set.Rows())
	m.set.Lookup(spec.Name).Start()
	m.updateWatches()
	return nil
}
