package manager

import (
	"fmt"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/deploy"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/supervise"
)

// The actions that apply a file to a process.
const (
	doStart   = "start"
	doStop    = "stop"
	doRestart = "restart"
	doReload  = "reload"
	doScale   = "scale"
	doServe   = "http"
)

// Plan returns what Apply would do.
func (m *Manager) Plan(f processfile.File) control.Plan {
	processes, file := m.set.ByName(), m.set.File()
	root, http := file.Root, file.HTTP
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
	for _, name := range supervise.SortedNames(processes) {
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
		case p.DiffersFrom(spec):
			add(spec.Name, actionFor(p, spec), "the file has it otherwise")
		case spec.Watch.Enabled && deploy.IsRedeployed(p):
			add(spec.Name, actionFor(p, spec), "its program was rebuilt: the gates before it are asked")
		case !spec.Watch.Enabled && deploy.IsRebuilt(p):
			add(spec.Name, actionFor(p, spec), "its program was rebuilt")
			for _, before := range spec.After {
				if gate := processes[before]; gate != nil && wanted[before].Kind == processfile.KindGate {
					steps[before] = control.Step{Process: before, Action: doRestart, Reason: "looks at the new program of " + spec.Name}
				}
			}
		case p.Spec().Instances != spec.Instances:
			add(spec.Name, doScale, fmt.Sprintf("%d instances, was %d", spec.Instances, p.Spec().Instances))
		case p.IsIdle():
			add(spec.Name, doStart, "does not run")
		}
	}
	for _, name := range supervise.SortedNames(processes) {
		if s, ok := steps[name]; ok && s.Action == doStop {
			plan.Steps = append(plan.Steps, s)
		}
	}
	for _, spec := range f.Processes {
		if s, ok := steps[spec.Name]; ok {
			plan.Steps = append(plan.Steps, s)
		}
	}
	if why := describeHTTPChange(http, f.HTTP); why != "" && root != "" {
		plan.Steps = append(plan.Steps, control.Step{Process: processfile.OwnerPgo, Action: doServe, Reason: why})
	}
	return plan
}

// actionFor returns how a process gets its new configuration.
func actionFor(p *supervise.Process, spec processfile.Process) string {
	if p.IsIdle() {
		return doRestart
	}
	if spec.Reload.Mode == processfile.ReloadBeside && p.Spec().Reload.Mode == processfile.ReloadBeside {
		return doReload
	}
	return doRestart
}

// Apply applies a process file: it starts what is new, was stopped or has failed, replaces what changed, also where only
// the program was rebuilt, stops what the file has no more, and leaves alone what runs unchanged. To replace is a reload if
// the process can be reloaded, which waits for the gates that look at a new program. If a listener cannot be opened,
// nothing has changed.
func (m *Manager) Apply(f processfile.File) error {
	<-m.cleaned
	m.applying.Lock()
	defer m.applying.Unlock()
	if m.set.IsDown() {
		return supervise.ErrDown
	}
	opened, err := m.listeners.Open(f, m.deps.Link)
	if err != nil {
		return err
	}
	plan := m.Plan(f)
	steps := map[string]string{}
	for _, s := range plan.Steps {
		steps[s.Process] = s.Action
		m.deps.Log.Info("apply", "process", s.Process, "do", s.Action, "why", s.Reason)
	}
	outdated := map[string]*supervise.Process{}
	for name, p := range m.set.ByName() {
		if steps[name] == doStop || steps[name] == doRestart {
			outdated[name] = p
		}
	}
	m.closeProcesses(outdated, "was stopped meanwhile, since the process file changed")
	m.set.SetFile(f)
	m.keepFile(f)
	before := m.listeners
	m.listeners = opened
	m.updateProcesses(f, steps)
	m.serveHTTP(f.HTTP)
	before.CloseExcept(opened, m.deps.Link)
	m.deployer.SelectReleases(f)
	for _, spec := range f.Processes {
		p := m.set.Lookup(spec.Name)
		p.StartUnfinished()
		if steps[spec.Name] == doReload {
			m.deployer.Redeploy(p)
		}
	}
	m.updateWatches()
	return nil
}

// updateProcesses makes the set hold the processes of the file: new ones are created, the others are configured for their
// next start. The log policy of a process that goes on unchanged applies at once.
func (m *Manager) updateProcesses(f processfile.File, steps map[string]string) {
	extra := m.set.Update(m.deps, f, m.listeners)
	for _, spec := range f.Processes {
		if do := steps[spec.Name]; do == "" || do == doScale {
			m.set.Lookup(spec.Name).ApplyLogPolicy()
		}
	}
	m.deps.Store.Reset(m.set.Rows())
	for _, i := range extra {
		i.Close()
	}
}
