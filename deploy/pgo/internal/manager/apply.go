package manager

import (
	"fmt"
	"maps"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
)

// What applying a file does with a process.
const (
	doStart   = "start"
	doStop    = "stop"
	doRestart = "restart"
	doReload  = "reload"
	doScale   = "scale"
	doServe   = "http"
)

// Plan says what Apply would do.
func (m *Manager) Plan(f processfile.File) control.Plan {
	m.mu.Lock()
	processes, root, http := maps.Clone(m.processes), m.file.Root, m.file.HTTP
	m.mu.Unlock()
	plan := control.Plan{Steps: []control.Step{}}
	steps := map[string]control.Step{}
	add := func(name, do, why string) {
		if _, there := steps[name]; !there {
			steps[name] = control.Step{Process: name, Action: do, Reason: why}
		}
	}
	wanted := map[string]processfile.Process{}
	for _, spec := range f.Processes {
		wanted[spec.Name] = spec
	}
	for _, name := range sortedNames(processes) {
		if _, ok := wanted[name]; !ok {
			add(name, doStop, "the file has it no more")
		}
	}
	for _, spec := range f.Processes {
		p := processes[spec.Name]
		switch {
		case p == nil:
			add(spec.Name, doStart, "new")
		case root != f.Root:
			add(spec.Name, doRestart, "the root is another")
		case p.differs(spec):
			add(spec.Name, p.howTo(spec), "the file has it otherwise")
		case spec.Watch.Enabled && p.redeployed():
			add(spec.Name, p.howTo(spec), "its program was built anew: the gates before it are asked")
		case !spec.Watch.Enabled && p.rebuilt():
			add(spec.Name, p.howTo(spec), "its program was built anew")
			for _, before := range spec.After {
				if gate := processes[before]; gate != nil && wanted[before].Kind == processfile.KindGate {
					steps[before] = control.Step{Process: before, Action: doRestart, Reason: "looks at the new program of " + spec.Name}
				}
			}
		case p.current().Instances != spec.Instances:
			add(spec.Name, doScale, fmt.Sprintf("%d instances, was %d", spec.Instances, p.current().Instances))
		case p.idle():
			add(spec.Name, doStart, "does not run")
		}
	}
	for _, name := range sortedNames(processes) {
		if s, ok := steps[name]; ok && s.Action == doStop {
			plan.Steps = append(plan.Steps, s)
		}
	}
	for _, spec := range f.Processes {
		if s, ok := steps[spec.Name]; ok {
			plan.Steps = append(plan.Steps, s)
		}
	}
	if why := moved(http, f.HTTP); why != "" && root != "" {
		plan.Steps = append(plan.Steps, control.Step{Process: processfile.OwnerPgo, Action: doServe, Reason: why})
	}
	return plan
}

// howTo is how a running process is made to be as the spec says.
func (p *process) howTo(spec processfile.Process) string {
	if p.idle() {
		return doRestart
	}
	if spec.Reload.Mode == processfile.ReloadBeside && p.current().Reload.Mode == processfile.ReloadBeside {
		return doReload
	}
	return doRestart
}

// idle tells whether nothing runs and nothing is about to, though it has not run to its end.
func (p *process) idle() bool {
	for _, i := range p.all() {
		if r := i.process.host.board.Get(i.slot); !r.Wanted && !r.Done {
			return true
		}
	}
	return false
}

// Apply makes the file real: what is new or was stopped or has failed is started, what changed is made new, also where
// only the program was built anew, what is gone is stopped, and what runs unchanged is left alone. To be made new is a
// reload where the process can be reloaded: it waits for the gates that look at a new program. Where a listener cannot
// be opened nothing has changed.
func (m *Manager) Apply(f processfile.File) error {
	<-m.cleaned
	m.applying.Lock()
	defer m.applying.Unlock()
	if m.isDown() {
		return errDown
	}
	opened, err := m.listeners.with(f, m.host.link)
	if err != nil {
		return err
	}
	plan := m.Plan(f)
	steps := map[string]string{}
	for _, s := range plan.Steps {
		steps[s.Process] = s.Action
		m.host.log.Info("apply", "process", s.Process, "do", s.Action, "why", s.Reason)
	}
	m.mu.Lock()
	outdated := map[string]*process{}
	for name, p := range m.processes {
		if steps[name] == doStop || steps[name] == doRestart {
			outdated[name] = p
		}
	}
	m.mu.Unlock()
	m.closeAll(outdated)
	m.mu.Lock()
	m.file = f
	m.mu.Unlock()
	m.keepFile(f)
	before := m.listeners
	m.listeners = opened
	m.lay(f, steps)
	m.serveHTTP(f.HTTP)
	before.drop(opened, m.host.link)
	m.outfit(f)
	for _, spec := range f.Processes {
		p := m.process(spec.Name)
		p.startUndone()
		if steps[spec.Name] == doReload {
			m.redeploy(p)
		}
	}
	m.rewatch()
	return nil
}

func (m *Manager) process(name string) *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.processes[name]
}

// lay sets up the processes of the file: new ones are made, those that stay know how they are to be.
func (m *Manager) lay(f processfile.File, steps map[string]string) {
	var extra []*instance
	m.mu.Lock()
	for _, spec := range f.Processes {
		shared := m.listeners.inherited(spec)
		p := m.processes[spec.Name]
		if p == nil {
			m.processes[spec.Name] = newProcess(m.host, spec, shared)
			continue
		}
		p.update(spec, shared)
		extra = append(extra, p.resize(spec.Instances)...)
		if steps[spec.Name] == "" || steps[spec.Name] == doScale {
			for _, i := range p.all() {
				if k := i.runs(); k != nil {
					k.host.logs.of(k.host.home.LogPath(spec.Name), spec.Logs) // takes the policy
				}
			}
		}
	}
	m.mu.Unlock()
	m.layBoard()
	for _, i := range extra {
		i.close()
	}
}
