// Package manager is the process of pgo with all its logic: it applies process files, answers the control API, recovers
// what the manager before was doing, and upgrades itself. It wires together the packages that do the work: state,
// supervise, deploy and rollout. Whatever must outlive it is with its keeper, which starts the next manager after a crash.
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
	"pgo/deploy/pgo/internal/sockets"
	"pgo/deploy/pgo/internal/supervise"
)

// Manager wires together what runs the processes of one home. Its methods may be called concurrently.
type Manager struct {
	deps     *supervise.Deps
	set      *supervise.Set
	deployer *deploy.Deployer
	meter    meter
	about    managerInfo
	memory   *memoryReleaser

	cleaned     chan struct{} // closed when nothing is left of a keeper that was killed
	changed     chan struct{} // notified when the set of processes changes
	rescheduled chan struct{} // notified when schedules may have changed
	endOnce     sync.Once

	applying  sync.Mutex        // held while the set of processes changes; guards listeners
	listeners sockets.Listeners // which the keeper holds

	httpMu sync.Mutex  // guards http
	http   *httpServer // nil while it is off
}

func newManager(h home.Home, socketDir string, env []string, log *slog.Logger, link *keeper.Link) *Manager {
	m := &Manager{
		cleaned:     make(chan struct{}),
		changed:     make(chan struct{}, 1),
		rescheduled: make(chan struct{}, 1),
		set:         supervise.NewSet(),
		listeners:   sockets.Listeners{},
	}
	m.deps = supervise.NewDeps(h, link, log, socketDir, baseEnv(h, env), m.set.Root)
	m.deployer = deploy.New(m.deps, m.set)
	return m
}

// updateWatches watches the deployed files, the limits and the schedules of the processes that there are.
func (m *Manager) updateWatches() {
	m.deployer.UpdateWatches()
	supervise.Notify(m.changed)
	supervise.Notify(m.rescheduled)
}

// baseEnv returns pgo's environment without the variables that are for pgo itself.
func baseEnv(h home.Home, environ []string) map[string]string {
	env := map[string]string{}
	for _, kv := range environ {
		key, value, _ := strings.Cut(kv, "=")
		switch {
		case key == "NOTIFY_SOCKET", strings.HasPrefix(key, "LISTEN_"), strings.HasPrefix(key, "WATCHDOG_"):
		case strings.HasPrefix(key, "MAKE"), key == "MFLAGS": // `make up` is not part of a process's environment
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

// keepFile keeps the process file for the next manager.
func (m *Manager) keepFile(f processfile.File) {
	data, err := json.Marshal(f)
	if err != nil {
		m.deps.Log.Error("remember the process file", "error", err)
		return
	}
	m.deps.Link.KeepData(fileKey, data)
}

// Start starts processes and does not wait until they are ready. Those that run are left alone.
func (m *Manager) Start(names []string) error {
	return m.applyTo(names, func(chosen map[string]*supervise.Process) error {
		for _, name := range supervise.SortedNames(chosen) {
			chosen[name].Start()
		}
		return nil
	})
}

// applyTo calls do with the processes of these names, unless everything is being stopped.
func (m *Manager) applyTo(names []string, do func(map[string]*supervise.Process) error) error {
	chosen, err := m.set.Choose(names)
	if err != nil {
		return err
	}
	if m.set.IsDown() {
		return supervise.ErrDown
	}
	return do(chosen)
}

// Stop stops processes, dependents first, and returns when they have ended. What depends on them goes on. A rollout that one of
// them is part of is rolled back.
func (m *Manager) Stop(names []string) error {
	chosen, err := m.set.Choose(names)
	if err != nil {
		return err
	}
	m.deployer.HandleStop(chosen, "was stopped meanwhile")
	supervise.StopAll(chosen)
	return nil
}

// Restart stops and starts processes.
func (m *Manager) Restart(names []string) error {
	chosen, err := m.set.Choose(names)
	if err != nil {
		return err
	}
	supervise.StopAll(chosen)
	return m.Start(names)
}

// Reload replaces processes in the background. If one of them cannot be reloaded, it changes nothing and returns an error.
func (m *Manager) Reload(names []string) error {
	return m.applyTo(names, func(chosen map[string]*supervise.Process) error {
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

// Down stops everything for good and returns when nothing is left. A rollout under way is rolled back before: the next
// starts run the previous releases.
func (m *Manager) Down() {
	m.set.MarkDown()
	m.deps.Link.KeepData(downKey, []byte("yes"))
	<-m.cleaned
	m.deployer.AwaitRollout()
	m.applying.Lock() // one that is under way ends first
	defer m.applying.Unlock()
	processes := m.set.ByName()
	supervise.StopAll(processes)
	m.endOnce.Do(func() {
		for _, p := range processes {
			p.Close()
		}
		m.serveHTTP(processfile.HTTP{})
		m.listeners.CloseExcept(nil, m.deps.Link)
		m.set.MarkEnded()
	})
}

// findLeftovers returns what a killed keeper left behind. The same list has what this keeper has started, so it is read
// before anything is started.
func (m *Manager) findLeftovers() []supervise.Leftover {
	left, err := supervise.Leftovers(m.deps.Home)
	if err != nil {
		m.deps.Log.Error("look for what a killed pgo left behind", "error", err)
	}
	return slices.DeleteFunc(left, m.isOwnChild)
}

// stopLeftovers stops what a killed keeper left behind.
func (m *Manager) stopLeftovers(left []supervise.Leftover) {
	defer close(m.cleaned)
	for _, l := range left {
		m.deps.Log.Warn("stopping what a killed pgo left behind", "process", l.Name, "pid", l.PID)
	}
	supervise.StopLeftovers(m.deps.Home, left, func(l supervise.Leftover) {
		m.deps.Log.Warn("stopped what a killed pgo left behind", "process", l.Name, "pid", l.PID)
	})
}

// isOwnChild reports whether this keeper has started the process.
func (m *Manager) isOwnChild(l supervise.Leftover) bool {
	for _, c := range m.deps.Link.Hello.Children {
		if c.PID == l.PID && c.StartTicks == l.Start {
			return true
		}
	}
	return false
}
