// Package manager runs the processes of a process file: it opens their listeners, starts them in order of readiness,
// starts again what ends by itself, and stops them in reverse order.
package manager

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	"pgo/deploy/pgo/control"
	"pgo/deploy/pgo/home"
	"pgo/deploy/pgo/processfile"
)

// Manager has all processes of one home. Its methods may be called at the same time.
type Manager struct {
	home    home.Home
	sockets string // folder of the notify sockets
	log     *slog.Logger
	env     map[string]string
	board   *board
	running *running
	meter   meter
	cleaned chan struct{} // closed when nothing is left of a manager that was killed
	ended   chan struct{} // closed when Down is through
	end     sync.Once

	applying  sync.Mutex // one change of the set of processes at a time
	listeners listeners  // guarded by applying

	mu        sync.Mutex // never held while something is waited for
	file      processfile.File
	processes map[string]*process
	down      bool
}

// errDown is returned by what would start something while everything is being stopped.
var errDown = errors.New("pgo is going down")

func newManager(h home.Home, sockets string, env []string, log *slog.Logger) *Manager {
	return &Manager{
		home:      h,
		sockets:   sockets,
		log:       log,
		env:       baseEnv(h, env),
		board:     newBoard(log),
		running:   &running{path: h.Running(), log: log, entries: map[string]Leftover{}},
		cleaned:   make(chan struct{}),
		ended:     make(chan struct{}),
		processes: map[string]*process{},
		listeners: listeners{},
	}
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

// Apply makes the file real: what is new or was stopped or has failed is started, what changed is started anew, also
// where only the program was built anew, what is gone is stopped, and what runs unchanged is left alone. Where a listener cannot be opened nothing has changed.
func (m *Manager) Apply(f processfile.File) error {
	<-m.cleaned
	m.applying.Lock()
	defer m.applying.Unlock()
	if m.isDown() {
		return errDown
	}
	next, err := m.listeners.with(f)
	if err != nil {
		return err
	}
	m.stopOutdated(f)
	m.listeners.drop(next)
	m.listeners = next
	processes, err := m.lay(f)
	if err != nil {
		return err
	}
	for _, p := range processes {
		p.start()
	}
	return nil
}

// lay sets up the processes of the file, in its order.
func (m *Manager) lay(f processfile.File) ([]*process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.file = f
	var shown []control.Process
	for _, spec := range f.Processes {
		shown = append(shown, m.describe(spec))
	}
	m.board.lay(shown)
	h := &host{board: m.board, running: m.running, log: m.log, env: m.env, dir: f.Root, output: m.output}
	var processes []*process
	for _, spec := range f.Processes {
		if m.processes[spec.Name] == nil {
			var inherit []listener
			for _, l := range spec.Listeners {
				inherit = append(inherit, m.listeners[socketOf(spec.Name, l)])
			}
			p, err := newProcess(h, spec, inherit, filepath.Join(m.sockets, spec.Name+".notify"))
			if err != nil {
				return nil, err
			}
			m.processes[spec.Name] = p
		}
		processes = append(processes, m.processes[spec.Name])
	}
	return processes, nil
}

// stopOutdated stops and removes the processes that the file has no more, or has otherwise, or whose program was
// built anew; with these also the gates before them, which look at the new program before it may start.
func (m *Manager) stopOutdated(f processfile.File) {
	wanted := map[string]processfile.Process{}
	for _, p := range f.Processes {
		wanted[p.Name] = p
	}
	m.mu.Lock()
	outdated := map[string][]string{}
	for name, p := range m.processes {
		if spec, ok := wanted[name]; !ok || !reflect.DeepEqual(spec, p.spec) || m.file.Root != f.Root {
			outdated[name] = p.spec.After
			continue
		}
		if p.rebuilt() {
			outdated[name] = p.spec.After
			for _, before := range p.spec.After {
				if gate := m.processes[before]; gate != nil && gate.spec.Kind == processfile.Gate {
					outdated[before] = gate.spec.After
				}
			}
		}
	}
	processes := maps.Clone(m.processes)
	m.mu.Unlock()
	inReverse(outdated, func(name string) { processes[name].close() })
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range outdated {
		delete(m.processes, name)
	}
}

func (m *Manager) describe(spec processfile.Process) control.Process {
	p := control.Process{Name: spec.Name, Kind: spec.Kind, After: spec.After, Listeners: map[string]string{}}
	if p.After == nil {
		p.After = []string{}
	}
	for _, l := range spec.Listeners {
		p.Listeners[l.Name] = m.listeners[socketOf(spec.Name, l)].addr
	}
	return p
}

// output opens a process's log. The process writes to the file itself, so what it says never depends on pgo.
func (m *Manager) output(name string) (*os.File, error) {
	return os.OpenFile(m.home.Log(name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
}

// Start starts the processes named; those that run are left alone. It does not wait for them to be ready.
func (m *Manager) Start(names []string) error {
	chosen, err := m.choose(names)
	if err != nil {
		return err
	}
	if m.isDown() {
		return errDown
	}
	for _, p := range chosen {
		p.start()
	}
	return nil
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

// Down stops everything for good and returns when nothing is left.
func (m *Manager) Down() {
	m.mu.Lock()
	m.down = true
	m.mu.Unlock()
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
		m.listeners.drop(nil)
		close(m.ended)
	})
}

func (m *Manager) isDown() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.down
}

func stopAll(processes map[string]*process) {
	after := map[string][]string{}
	for name, p := range processes {
		after[name] = p.spec.After
	}
	inReverse(after, func(name string) { processes[name].stop() })
}

// choose returns the processes of these names; "all" is every one.
func (m *Manager) choose(names []string) (map[string]*process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.Contains(names, "all") {
		return maps.Clone(m.processes), nil
	}
	chosen := map[string]*process{}
	for _, name := range names {
		p := m.processes[name]
		if p == nil {
			known := slices.Sorted(maps.Keys(m.processes))
			return nil, fmt.Errorf("there is no process %q; there are %s", name, strings.Join(known, ", "))
		}
		chosen[name] = p
	}
	return chosen, nil
}

// clean stops what a killed manager left behind.
func (m *Manager) clean() {
	defer close(m.cleaned)
	left, err := Leftovers(m.home)
	if err != nil {
		m.log.Error("look for what a killed manager left behind", "error", err)
		return
	}
	for _, l := range left {
		m.log.Warn("stopping what a killed manager left behind", "process", l.Name, "pid", l.PID)
	}
	StopLeftovers(left, func(l Leftover) {
		m.log.Warn("stopped what a killed manager left behind", "process", l.Name, "pid", l.PID)
	})
}
