package supervise

import (
	"errors"
	"reflect"
	"slices"
	"sync"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
)

// Process is all instances of one name.
type Process struct {
	Deps     *Deps
	Name     string
	versions versionCache

	mu              sync.Mutex
	spec            processfile.Process
	inherited       map[string]Listener // by name
	instances       []*Instance
	isReloading     bool           // a reload is under way
	reloadAgain     bool           // and another one was asked for meanwhile
	reloadWaiters   []chan<- error // who wants to know how it went
	chosen          Program        // what the next start runs, where the process is watched
	noProgramReason error          // why there is none

	deploysUnderWay int // deployments that are not through when the instances are replaced
}

func newProcess(h *Deps, spec processfile.Process, shared map[string]Listener) *Process {
	p := &Process{Deps: h, Name: spec.Name, spec: spec, inherited: shared}
	for n := range spec.Instances {
		p.instances = append(p.instances, newInstance(p, n))
	}
	return p
}

// Spec is how the process is to be started.
func (p *Process) Spec() processfile.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spec
}

// startSpec is all that the next start needs.
func (p *Process) startSpec() (processfile.Process, map[string]Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spec, p.inherited
}

// Program is what the next start runs: nothing where the process is not watched, an error where nothing fits.
func (p *Process) Program() (Program, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.spec.Watch.Enabled:
		return Program{}, nil
	case p.chosen.SHA256 == "" && p.noProgramReason == nil:
		return Program{}, errors.New("nothing that may run was deployed yet")
	case p.chosen.SHA256 == "":
		return Program{}, p.noProgramReason
	}
	return p.chosen, nil
}

// Choose changes what is run from the next start on.
func (p *Process) Choose(c Program) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chosen, p.noProgramReason = c, nil
	p.linkChosen(c)
}

// ClearProgram leaves nothing to run from the next start on, and why.
func (p *Process) ClearProgram(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chosen, p.noProgramReason = Program{}, why
}

// configure changes how the process is started from now on. Instances beyond the number are left to the caller.
func (p *Process) configure(spec processfile.Process, shared map[string]Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spec, p.inherited = spec, shared
}

// revertTo goes back to what runs, after a new one has shown that it does not.
func (p *Process) revertTo(spec processfile.Process, c Program) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.SHA256 != "" {
		p.chosen = c
		p.linkChosen(c)
	}
	spec.Instances = p.spec.Instances
	for _, l := range spec.Listeners {
		if _, open := p.inherited[l.Name]; !l.PerInstance && !open {
			return // what it listened on is closed: it cannot be started as it was
		}
	}
	p.spec = spec
}

func (p *Process) Instances() []*Instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*Instance(nil), p.instances...)
}

func (p *Process) Start() {
	for _, i := range p.Instances() {
		i.Start()
	}
}

// StartUnfinished starts what does not run, but not again what has run to its end.
func (p *Process) StartUnfinished() {
	for _, i := range p.Instances() {
		if !i.Process.Deps.Store.Get(i.ID).Done {
			i.Start()
		}
	}
}

func (p *Process) eachInstance(do func(*Instance)) {
	var all sync.WaitGroup
	for _, i := range p.Instances() {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

func (p *Process) Stop()  { p.eachInstance((*Instance).Stop) }
func (p *Process) Close() { p.eachInstance((*Instance).Close) }

// Resize changes the number of instances and returns those that are too many, which the caller closes.
func (p *Process) Resize(n int) (extra []*Instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spec.Instances = n
	for len(p.instances) < n {
		p.instances = append(p.instances, newInstance(p, len(p.instances)))
	}
	extra = append(extra, p.instances[n:]...)
	p.instances = p.instances[:n]
	return extra
}

// DiffersFrom tells whether something runs otherwise than the spec says.
func (p *Process) DiffersFrom(spec processfile.Process) bool {
	for _, i := range p.Instances() {
		runs := p.Spec()
		if k := i.Child(); k != nil {
			runs = k.Spec
		}
		if !sameRuntime(runs, spec) {
			return true
		}
	}
	return false
}

// sameRuntime compares what a running process was started with: how many there are, and when its log is rotated, it does not
// notice.
func sameRuntime(a, b processfile.Process) bool {
	a.Instances, b.Instances = 0, 0
	a.Watch, b.Watch = processfile.Watch{Enabled: a.Watch.Enabled}, processfile.Watch{Enabled: b.Watch.Enabled}
	a.CheckArgs, b.CheckArgs, a.PlanArgs, b.PlanArgs = nil, nil, nil, nil
	a.Limits.Memory, b.Limits.Memory = 0, 0
	split := [2]bool{a.Logs.Split, b.Logs.Split}
	a.Logs, b.Logs = processfile.Logs{}, processfile.Logs{}
	return split[0] == split[1] && reflect.DeepEqual(a, b)
}

// StartReload replaces the instances one by one, in the background. Where one does not work out the others stay as they
// are. One that is asked for during another follows it.
func (p *Process) StartReload() { p.requestReload(nil) }

// ReplaceInstances replaces the instances and returns how that went.
func (p *Process) ReplaceInstances() error {
	answer := make(chan error, 1)
	p.requestReload(answer)
	return <-answer
}

func (p *Process) requestReload(tell chan<- error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if tell != nil {
		p.reloadWaiters = append(p.reloadWaiters, tell)
	}
	for _, i := range p.instances {
		i.Process.Deps.Store.Update(i.ID, func(r *state.Record) {
			if r.Wanted {
				r.Process.ReloadPending, r.Process.ReloadFailure, r.Process.LastLines = true, "", nil
			}
		})
	}
	if p.isReloading {
		p.reloadAgain = true
		return
	}
	p.isReloading = true
	go p.runReload()
}

func (p *Process) runReload() {
	for {
		var err error
		for _, i := range p.Instances() {
			if err = i.Replace(); err != nil {
				break
			}
		}
		if !p.finishReload(err) {
			return
		}
	}
}

// finishReload tells whether another reload was asked for during one that worked out.
func (p *Process) finishReload(err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	again := p.reloadAgain && err == nil
	p.reloadAgain, p.isReloading = false, again
	if !again {
		p.clearReloadFlag()
		for _, answer := range p.reloadWaiters {
			answer <- err
		}
		p.reloadWaiters = nil
	}
	return again
}

// BeginDeploy has a reload show as under way until EndDeploy.
func (p *Process) BeginDeploy() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deploysUnderWay++
}

func (p *Process) EndDeploy() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deploysUnderWay--
	if !p.isReloading {
		p.clearReloadFlag()
	}
}

// clearReloadFlag shows that no reload is under way, if so. Its caller has the lock.
func (p *Process) clearReloadFlag() {
	if p.deploysUnderWay > 0 {
		return
	}
	for _, i := range p.instances {
		if i.Process.Deps.Store.Get(i.ID).Process.ReloadPending {
			i.Process.Deps.Store.Update(i.ID, func(r *state.Record) { r.Process.ReloadPending = false })
		}
	}
}

// initialRows are the process's instances as they are first shown.
func (p *Process) initialRows() []control.Process {
	spec, shared := p.startSpec()
	var rows []control.Process
	for n := range spec.Instances {
		row := control.Process{
			Name: spec.Name, Instance: n, Instances: spec.Instances, Kind: spec.Kind, After: spec.After, Listeners: map[string]string{},
		}
		if row.After == nil {
			row.After = []string{}
		}
		for _, l := range spec.Listeners {
			row.Listeners[l.Name] = shared[l.Name].Addr // one of its own has none yet
		}
		rows = append(rows, row)
	}
	return rows
}

// ApplyLogPolicy makes the log of a process that runs follow its configuration.
func (p *Process) ApplyLogPolicy() {
	spec := p.Spec()
	for _, i := range p.Instances() {
		if i.Child() != nil {
			p.Deps.LogFiles.Writer(p.Deps.Home.LogPath(p.Name), spec.Logs)
		}
	}
}

// RunsOtherThan tells whether an instance runs another release.
func (p *Process) RunsOtherThan(c Program) bool {
	return slices.ContainsFunc(p.Instances(), func(i *Instance) bool {
		k := i.Child()
		return k != nil && k.Program.SHA256 != c.SHA256
	})
}

func (p *Process) HasRelease() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.chosen.SHA256 != ""
}

// IsIdle reports whether an instance does not run and is not about to, though it has not run to its end.
func (p *Process) IsIdle() bool {
	for _, i := range p.Instances() {
		if r := p.Deps.Store.Get(i.ID); !r.Wanted && !r.Done {
			return true
		}
	}
	return false
}
