package manager

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
)

// Scale changes how many instances there are, until a process file is applied.
func (m *Manager) Scale(name string, n int) error {
	m.applying.Lock()
	defer m.applying.Unlock()
	if n < 1 || n > 64 {
		return fmt.Errorf("%d instances: expected 1 to 64", n)
	}
	return m.with([]string{name}, func(chosen map[string]*process) error {
		for name, p := range chosen {
			if kind := p.current().Kind; kind == processfile.KindOneShot {
				return fmt.Errorf("%s is a one-shot: it has one instance", name)
			}
			m.resize(p, n)
			p.start()
		}
		return nil
	})
}

// resize changes the number of instances; those that are too many are stopped.
func (m *Manager) resize(p *process, n int) {
	extra := p.resize(n)
	m.mu.Lock()
	f := m.file
	f.Processes = append([]processfile.Process(nil), f.Processes...)
	for i := range f.Processes {
		if f.Processes[i].Name == p.name {
			f.Processes[i].Instances = n
		}
	}
	m.file = f
	m.mu.Unlock()
	m.keepFile(f)
	var all sync.WaitGroup
	for _, i := range extra {
		all.Go(i.close)
	}
	all.Wait()
	m.layBoard()
}

// layBoard has the board show what there is, in the order of the file.
func (m *Manager) layBoard() {
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []control.Process
	for _, spec := range m.file.Processes {
		if p := m.processes[spec.Name]; p != nil {
			rows = append(rows, p.rows()...)
		}
	}
	m.host.board.Reset(rows)
}

// Delete stops processes and forgets them, until a process file is applied.
func (m *Manager) Delete(names []string) error {
	m.applying.Lock()
	defer m.applying.Unlock()
	chosen, err := m.choose(names)
	if err != nil {
		return err
	}
	m.closeAll(chosen)
	m.mu.Lock()
	f := m.file
	f.Processes = nil
	for _, spec := range m.file.Processes {
		if chosen[spec.Name] == nil {
			f.Processes = append(f.Processes, spec)
		}
	}
	m.file = f
	m.mu.Unlock()
	m.keepFile(f)
	keep, err := m.listeners.with(f, m.host.link)
	if err != nil {
		return err
	}
	m.listeners.drop(keep, m.host.link)
	m.listeners = keep
	m.layBoard()
	m.rewatch()
	return nil
}

// Signal sends a signal to the main process of every instance that runs.
func (m *Manager) Signal(names []string, signal string) error {
	number := unix.SignalNum(signal)
	if number == 0 {
		return fmt.Errorf("expected a signal such as SIGHUP, found %q", signal)
	}
	return m.with(names, func(chosen map[string]*process) error {
		var failed []error
		for _, name := range sortedNames(chosen) {
			for _, i := range chosen[name].all() {
				k := i.runs()
				if k == nil {
					failed = append(failed, fmt.Errorf("%s does not run", name))
					continue
				}
				failed = append(failed, m.host.link.SignalChild(k.Child.ChildSpec.ID, number))
			}
		}
		return errors.Join(failed...)
	})
}

// Flush empties logs, rotated files included.
func (m *Manager) Flush(names []string) error {
	return m.with(names, func(chosen map[string]*process) error {
		for _, name := range sortedNames(chosen) {
			spec := chosen[name].current()
			files := []string{m.host.home.LogPath(name)}
			if spec.Logs.Split {
				files = append(files, m.host.home.ErrLogPath(name))
			}
			for _, file := range files {
				if err := m.host.logs.of(file, spec.Logs).Clear(); err != nil {
					return err
				}
			}
			for _, i := range chosen[name].all() {
				i.process.host.board.Update(i.slot, func(r *state.Record) { r.Process.LogOffset = 0 })
			}
		}
		return nil
	})
}
