// Package manager has all the logic of running the processes of a process file: it opens their listeners, starts them
// in order of readiness, starts again what ends by itself, replaces what is to be new, and stops them in reverse order.
// Whatever must outlive it is with its keeper; one that was killed is followed by one that goes on from there.
package manager

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"pgo/deploy/pgo/internal/deploy"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/supervise"
)

// Manager wires together what runs the processes of one home. Its methods may be called concurrently.
type Manager struct {
	deps     *supervise.Deps
	set      *supervise.Set
	deployer *deploy.Deployer
	meter    supervise.Meter
	about    about
	shrinker *shrinker

	cleaned chan struct{} // closed when nothing is left of a keeper that was killed
	changed chan struct{} // notified when the set of processes changes
	end     sync.Once

	applying  sync.Mutex          // held while the set of processes changes; guards listeners
	listeners supervise.Listeners // which the keeper holds

	httpMu sync.Mutex // guards http
	http   *ownHTTP   // nil while it is off
}

func newManager(h home.Home, sockets string, env []string, log *slog.Logger, link *keeper.Link) *Manager {
	m := &Manager{
		cleaned:   make(chan struct{}),
		changed:   make(chan struct{}, 1),
		set:       supervise.NewSet(),
		listeners: supervise.Listeners{},
	}
	m.deps = supervise.NewDeps(h, link, log, sockets, baseEnv(h, env), m.set.Root)
	m.deployer = deploy.New(m.deps, m.set)
	return m
}

// updateWatches makes the deployed files and the limits watched that there are.
func (m *Manager) updateWatches() {
	m.deployer.UpdateWatches()
	supervise.Notify(m.changed)
}

// baseEnv is pgo's environment without what was meant for pgo itself.
func baseEnv(h home.Home, environ []string) map[string]string {
	env := map[string]string{}
	for _, kv := range environ {
		key, value, _ := strings.Cut(kv, "=")
		switch {
		case key == "NOTIFY_SOCKET", strings.HasPrefix(key, "LISTEN_"), strings.HasPrefix(key, "WATCHDOG_"):
		case strings.HasPrefix(key, "MAKE"), key == "MFLAGS": // `make up` is no part of a process's surroundings
		default:
			env[key] = value
		}
	}
	env["PGO_HOME"] = string(h)
	return env
}

// The keys under which the keeper remembers things for the next manager.
const (
	fileKey = "file"
	downKey = "down"
)

// keepFile has the next manager know the file.
func (m *Manager) keepFile(f processfile.File) {
	data, err := json.Marshal(f)
	if err != nil {
		m.deps.Log.Error("remember the process file", "error", err)
		return
	}
	m.deps.Link.KeepData(fileKey, data)
}

// Start starts the processes named; those that run are left alone. It does not wait for them to be ready.
func (m *Manager) Start(names []string) error {
	return m.with(names, func(chosen map[string]*supervise.Process) error {
		for _, name := range supervise.SortedNames(chosen) {
			chosen[name].Start()
		}
		return nil
	})
}

// with calls do with the processes chosen, unless everything is being stopped.
func (m *Manager) with(names []string, do func(map[string]*supervise.Process) error) error {
	chosen, err := m.set.Choose(names)
	if err != nil {
		return err
	}
	if m.set.IsDown() {
		return supervise.ErrDown
	}
	return do(chosen)
}

// Stop stops the processes named, dependents first, and returns when they have ended. What depends on them goes on.
func (m *Manager) Stop(names []string) error {
	chosen, err := m.set.Choose(names)
	if err != nil {
		return err
	}
	supervise.StopAll(chosen)
	return nil
}

// Restart stops and starts the processes named.
func (m *Manager) Restart(names []string) error {
	if err := m.Stop(names); err != nil {
		return err
	}
	return m.Start(names)
}

// Reload has the processes named replaced by new ones; it does not wait for that. It refuses all where one cannot be.
func (m *Manager) Reload(names []string) error {
	return m.with(names, func(chosen map[string]*supervise.Process) error {
		for _, name := range supervise.SortedNames(chosen) {
			if spec := chosen[name].Spec(); spec.Reload.Mode == processfile.ReloadRefused {
				return fmt.Errorf("%s is not reloaded: pgo has no listener of it to hand over, so there would be a gap: "+
					"pgo restart %s, or say reload: {mode: restart} or {mode: beside} in the process file", name, name)
			}
		}
		for _, name := range supervise.SortedNames(chosen) {
			p := chosen[name]
			if p.Spec().Reload.Mode == processfile.ReloadRestart {
				p.Stop()
				p.Start()
				continue
			}
			m.deployer.Redeploy(p)
		}
		return nil
	})
}

// Down stops everything for good and returns when nothing is left.
func (m *Manager) Down() {
	m.set.MarkDown()
	m.deps.Link.KeepData(downKey, []byte("yes"))
	<-m.cleaned
	m.applying.Lock() // one that is under way ends first
	defer m.applying.Unlock()
	processes := m.set.ByName()
	supervise.StopAll(processes)
	m.end.Do(func() {
		for _, p := range processes {
			p.Close()
		}
		m.serveHTTP(processfile.HTTP{})
		m.listeners.CloseExcept(nil, m.deps.Link)
		m.set.MarkEnded()
	})
}

// leftBehind returns what a killed keeper left behind. What this keeper has started is none of it, and stands in the
// same list: it is read before anything is started.
func (m *Manager) leftBehind() []supervise.Leftover {
	left, err := supervise.Leftovers(m.deps.Home)
	if err != nil {
		m.deps.Log.Error("look for what a killed pgo left behind", "error", err)
	}
	return slices.DeleteFunc(left, m.mine)
}

// clean stops what a killed keeper left behind.
func (m *Manager) clean(left []supervise.Leftover) {
	defer close(m.cleaned)
	for _, l := range left {
		m.deps.Log.Warn("stopping what a killed pgo left behind", "process", l.Name, "pid", l.PID)
	}
	supervise.StopLeftovers(m.deps.Home, left, func(l supervise.Leftover) {
		m.deps.Log.Warn("stopped what a killed pgo left behind", "process", l.Name, "pid", l.PID)
	})
}

func (m *Manager) mine(l supervise.Leftover) bool {
	for _, c := range m.deps.Link.Hello.Children {
		if c.PID == l.PID && c.StartTicks == l.Start {
			return true
		}
	}
	return false
}
