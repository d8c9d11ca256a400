// Package manager has all the logic of running the processes of a process file: it opens their listeners, starts them
// in order of readiness, starts again what ends by itself, replaces what is to be new, and stops them in reverse order.
// Whatever must outlive it is with its keeper; one that was killed is followed by one that goes on from there.
package manager

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/logfile"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/requests"
	"pgo/deploy/pgo/internal/state"
	files "pgo/deploy/pgo/internal/watch"
)

// Manager has all processes of one home. Its methods may be called at the same time.
type Manager struct {
	host    *host
	meter   meter
	cleaned chan struct{} // closed when nothing is left of a keeper that was killed
	ended   chan struct{} // closed when Down is through
	end     sync.Once

	applying  sync.Mutex // one change of the set of processes at a time
	listeners listeners  // guarded by applying

	about    about
	shrinker *shrinker

	mu        sync.Mutex // never held while something is waited for
	file      processfile.File
	processes map[string]*process
	http      *ownHTTP // nil while it is off
	down      bool

	watcher *files.Watcher
	changed chan struct{} // the processes are others than before
	turn    chan struct{} // full while a rollout is under way
}

// errDown is returned by what would start something while everything is being stopped.
var errDown = errors.New("pgo is going down")

func newManager(h home.Home, sockets string, env []string, log *slog.Logger, link *keeper.Link) *Manager {
	m := &Manager{
		cleaned:   make(chan struct{}),
		ended:     make(chan struct{}),
		processes: map[string]*process{},
		listeners: listeners{},
		changed:   make(chan struct{}, 1),
		turn:      make(chan struct{}, 1),
	}
	m.host = &host{
		home: h, link: link, log: log, sockets: sockets, env: baseEnv(h, env),
		board:   state.NewStore(log, state.NewHistory(h.EventsPath(), h.PreviousEventsPath(), log), link.KeepData),
		running: &running{path: h.ProcessesPath(), log: log, entries: map[string]Leftover{}},
		logs:    &logs{all: map[string]*logfile.Writer{}},
		root:    m.root,
		count:   &atomic.Int64{},
		tally:   newReloads(link.KeepData),
		deploys: newDeploys(link.KeepData),
		counts:  requests.NewReader(),
	}
	m.host.gates = m
	m.watcher = files.New(m, files.Options{UseInotify: true})
	return m
}

// root is the folder that processes run in.
func (m *Manager) root() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.file.Root
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

// keepFile has the next manager know the file.
func (m *Manager) keepFile(f processfile.File) {
	data, err := json.Marshal(f)
	if err != nil {
		m.host.log.Error("remember the process file", "error", err)
		return
	}
	m.host.link.KeepData(fileKey, data)
}

// everyone is all processes, in no order.
func (m *Manager) everyone() []*process {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*process, 0, len(m.processes))
	for _, p := range m.processes {
		all = append(all, p)
	}
	return all
}

// Start starts the processes named; those that run are left alone. It does not wait for them to be ready.
func (m *Manager) Start(names []string) error {
	return m.with(names, func(chosen map[string]*process) error {
		for _, name := range sortedNames(chosen) {
			chosen[name].start()
		}
		return nil
	})
}

// with calls do with the processes chosen, unless everything is being stopped.
func (m *Manager) with(names []string, do func(map[string]*process) error) error {
	chosen, err := m.choose(names)
	if err != nil {
		return err
	}
	if m.isDown() {
		return errDown
	}
	return do(chosen)
}

// Stop stops the processes named, dependents first, and returns when they have ended. What depends on them goes on.
func (m *Manager) Stop(names []string) error {
	chosen, err := m.choose(names)
	if err != nil {
		return err
	}
	stopAll(chosen)
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
	return m.with(names, func(chosen map[string]*process) error {
		for _, name := range sortedNames(chosen) {
			if spec := chosen[name].current(); spec.Reload.Mode == processfile.ReloadRefused {
				return fmt.Errorf("%s is not reloaded: pgo has no listener of it to hand over, so there would be a gap: "+
					"pgo restart %s, or say reload: {mode: restart} or {mode: beside} in the process file", name, name)
			}
		}
		for _, name := range sortedNames(chosen) {
			p := chosen[name]
			if p.current().Reload.Mode == processfile.ReloadRestart {
				p.stop()
				p.start()
				continue
			}
			m.redeploy(p)
		}
		return nil
	})
}

// closeAll stops processes for good, dependents first.
func (m *Manager) closeAll(chosen map[string]*process) {
	inReverse(order(chosen), func(name string) { chosen[name].close() })
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range chosen {
		delete(m.processes, name)
	}
}

// Down stops everything for good and returns when nothing is left.
func (m *Manager) Down() {
	m.mu.Lock()
	m.down = true
	m.mu.Unlock()
	m.host.link.KeepData(downKey, []byte("yes"))
	<-m.cleaned
	m.applying.Lock() // one that is under way ends first
	defer m.applying.Unlock()
	m.mu.Lock()
	processes := maps.Clone(m.processes)
	m.mu.Unlock()
	stopAll(processes)
	m.end.Do(func() {
		for _, p := range processes {
			p.close()
		}
		m.serveHTTP(processfile.HTTP{})
		m.listeners.drop(nil, m.host.link)
		close(m.ended)
	})
}

func (m *Manager) isDown() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.down
}

func stopAll(processes map[string]*process) {
	inReverse(order(processes), func(name string) { processes[name].stop() })
}

// order is that of stopping them.
func order(processes map[string]*process) map[string][]string {
	ranks := map[string]rank{}
	for name, p := range processes {
		spec := p.current()
		ranks[name] = rank{spec.Kind, spec.After}
	}
	return dependents(ranks)
}

// choose returns the processes of these names, which may be patterns; "all" is every one.
func (m *Manager) choose(names []string) (map[string]*process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	chosen := map[string]*process{}
	for _, name := range names {
		if name == "all" {
			name = "*"
		}
		found := false
		for known, p := range m.processes {
			match, err := path.Match(name, known)
			if err != nil {
				return nil, fmt.Errorf("pattern %q: %w", name, err)
			}
			if match {
				chosen[known], found = p, true
			}
		}
		if !found && name != "*" {
			return nil, fmt.Errorf("there is no process %q; there are %s", name, strings.Join(sortedNames(m.processes), ", "))
		}
	}
	return chosen, nil
}

// leftBehind returns what a killed keeper left behind. What this keeper has started is none of it, and stands in the
// same list: it is read before anything is started.
func (m *Manager) leftBehind() []Leftover {
	left, err := Leftovers(m.host.home)
	if err != nil {
		m.host.log.Error("look for what a killed pgo left behind", "error", err)
	}
	return slices.DeleteFunc(left, m.mine)
}

// clean stops what a killed keeper left behind.
func (m *Manager) clean(left []Leftover) {
	defer close(m.cleaned)
	for _, l := range left {
		m.host.log.Warn("stopping what a killed pgo left behind", "process", l.Name, "pid", l.PID)
	}
	StopLeftovers(m.host.home, left, func(l Leftover) {
		m.host.log.Warn("stopped what a killed pgo left behind", "process", l.Name, "pid", l.PID)
	})
}

func (m *Manager) mine(l Leftover) bool {
	for _, c := range m.host.link.Hello.Children {
		if c.PID == l.PID && c.StartTicks == l.Start {
			return true
		}
	}
	return false
}
