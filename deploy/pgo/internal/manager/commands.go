package manager

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/supervise"
)

// Scale changes the number of instances, until a process file is applied.
func (m *Manager) Scale(name string, n int) error {
	m.applying.Lock()
	defer m.applying.Unlock()
	if n < 1 || n > 64 {
		return fmt.Errorf("%d instances: expected 1 to 64", n)
	}
	return m.applyTo([]string{name}, func(chosen map[string]*supervise.Process) error {
		for name, p := range chosen {
			if kind := p.Spec().Kind; kind == processfile.KindOneShot {
				return fmt.Errorf("%s is a one-shot: it has one instance", name)
			}
			m.resizeProcess(p, n)
			p.Start()
		}
		return nil
	})
}

// resizeProcess changes the number of instances, and stops those that are too many.
func (m *Manager) resizeProcess(p *supervise.Process, n int) {
	extra := p.Resize(n)
	f := m.set.File()
	f.Processes = append([]processfile.Process(nil), f.Processes...)
	for i := range f.Processes {
		if f.Processes[i].Name == p.Name {
			f.Processes[i].Instances = n
		}
	}
	m.set.SetFile(f)
	m.keepFile(f)
	var all sync.WaitGroup
	for _, i := range extra {
		all.Go(i.Close)
	}
	all.Wait()
	m.deps.Store.Reset(m.set.Rows())
}

// Delete stops processes and removes them, until a process file is applied.
func (m *Manager) Delete(names []string) error {
	m.applying.Lock()
	defer m.applying.Unlock()
	chosen, err := m.set.Choose(names)
	if err != nil {
		return err
	}
	m.closeProcesses(chosen, "was deleted meanwhile")
	was := m.set.File()
	f := was
	f.Processes = nil
	for _, spec := range was.Processes {
		if chosen[spec.Name] == nil {
			f.Processes = append(f.Processes, spec)
		}
	}
	m.set.SetFile(f)
	m.keepFile(f)
	keep, err := m.listeners.Open(f, m.deps.Link)
	if err != nil {
		return err
	}
	m.listeners.CloseExcept(keep, m.deps.Link)
	m.listeners = keep
	m.deps.Store.Reset(m.set.Rows())
	m.updateWatches()
	return nil
}

// Signal sends a signal to the main process of every instance that runs.
func (m *Manager) Signal(names []string, signal string) error {
	number, ok := parseSignal(signal)
	if !ok {
		return fmt.Errorf("expected a signal such as SIGHUP, HUP or 1, found %q", signal)
	}
	return m.applyTo(names, func(chosen map[string]*supervise.Process) error {
		var failed []error
		for _, name := range supervise.SortedNames(chosen) {
			for _, i := range chosen[name].Instances() {
				k := i.Child()
				if k == nil {
					failed = append(failed, fmt.Errorf("%s does not run", name))
					continue
				}
				failed = append(failed, m.deps.Link.SignalChild(k.Handle.ChildSpec.ID, number))
			}
		}
		return errors.Join(failed...)
	})
}

// parseSignal reads a signal as kill(1) does: SIGHUP, HUP, hup or 1.
func parseSignal(text string) (syscall.Signal, bool) {
	if n, err := strconv.Atoi(text); err == nil {
		return syscall.Signal(n), n > 0 && n <= maxSignal
	}
	number := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(text), "SIG"))
	return number, number != 0
}

// maxSignal is the last of Linux's real-time signals.
const maxSignal = 64

// Flush empties logs, including rotated files.
func (m *Manager) Flush(names []string) error {
	return m.applyTo(names, func(chosen map[string]*supervise.Process) error {
		for _, name := range supervise.SortedNames(chosen) {
			spec := chosen[name].Spec()
			files := []string{m.deps.Home.LogPath(name)}
			if spec.Logs.Split {
				files = append(files, m.deps.Home.ErrLogPath(name))
			}
			for _, file := range files {
				if err := m.deps.LogFiles.Writer(file, spec.Logs).Clear(); err != nil {
					return err
				}
			}
			for _, i := range chosen[name].Instances() {
				i.Process.Deps.Store.Update(i.ID, func(r *state.Record) { r.Process.LogOffset = 0 })
			}
		}
		return nil
	})
}

// closeProcesses stops processes for good, and removes them. A rollout that one of them is part of ends with the reason.
func (m *Manager) closeProcesses(chosen map[string]*supervise.Process, why string) {
	m.deployer.HandleStop(chosen, why)
	m.set.Close(chosen)
	for _, p := range chosen {
		m.deployer.Forget(p)
	}
}
