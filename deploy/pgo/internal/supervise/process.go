// Package supervise runs the instances of processes: it starts them, waits until they are ready, restarts those that end,
// replaces them without dropping a request, and stops them. Which program a watched process runs is decided elsewhere
// (ReleasePolicy), and the keeper holds what must outlive a manager: children, listeners and pipes.
package supervise

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/sockets"
	"pgo/deploy/pgo/internal/state"
)

// ReleasePolicy decides what follows for releases from what happens to their processes. Its methods are called without
// any lock held.
type ReleasePolicy interface {
	// HandleExit is told how a process ended, or why it did not start. isFinal says that it is not started again. It
	// returns true if another release was chosen, which is started then. The end of ctx means that the process is stopped.
	HandleExit(ctx context.Context, p *Process, ran Program, how string, isFinal bool) bool
	// HandleFault is told what is wrong with a process that runs. It returns true if its release will be replaced.
	HandleFault(p *Process, runs Program, why error) bool
}

// Process holds all instances of one name.
type Process struct {
	Deps     *Deps
	Name     string
	policy   ReleasePolicy
	versions versionCache

	isRunningSchedule atomic.Bool // a restart by its schedule is under way

	mu              sync.Mutex
	spec            processfile.Process
	inherited       map[string]sockets.Listener // by name
	instances       []*Instance
	isReloading     bool           // a reload is under way
	reloadAgain     bool           // and another one was asked for meanwhile
	reloadWaiters   []chan<- error // get the result
	withdrawReload  context.CancelCauseFunc
	chosen          Program // by the next start, if the process is watched
	noProgramReason error   // the reason if nothing is chosen

	deploysUnderWay int // deploys that go on after the instances are replaced
}

func newProcess(h *Deps, policy ReleasePolicy, spec processfile.Process, shared map[string]sockets.Listener) *Process {
	p := &Process{Deps: h, Name: spec.Name, policy: policy, spec: spec, inherited: shared}
	for n := range spec.Instances {
		p.instances = append(p.instances, newInstance(p, n))
	}
	return p
}

// Spec returns the configuration of the next start.
func (p *Process) Spec() processfile.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spec
}

// startSpec returns the configuration of the next start, and the shared listeners by name.
func (p *Process) startSpec() (processfile.Process, map[string]sockets.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spec, p.inherited
}

// Program returns the program of the next start: the zero Program if the process is not watched, and an error if there is
// none that may run.
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

// Choose changes the program of the next starts.
func (p *Process) Choose(c Program) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chosen, p.noProgramReason = c, nil
	p.linkChosen(c)
}

// ClearProgram leaves no program for the next starts, and the reason that they fail with.
func (p *Process) ClearProgram(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chosen, p.noProgramReason = Program{}, why
}

// chosenLink is the name, in the directory of a process's releases, of a link to the chosen release. A gate gets its path:
// what the gate reads later, as a specification, is then of the program that runs then.
const chosenLink = "chosen"

// linkChosen makes the link lead to a release.
func (p *Process) linkChosen(c Program) {
	link := filepath.Join(p.Deps.Home.ReleaseDir(), p.Name, chosenLink)
	half := link + ".new"
	_ = os.Remove(half) // of a manager that was killed
	if err := errors.Join(os.Symlink(c.SHA256, half), os.Rename(half, link)); err != nil {
		p.Deps.Log.Error("link a release", "process", p.Name, "error", err)
	}
}

// VisiblePath returns the path of the link if it leads to the release, else the path of the release.
func (p *Process) VisiblePath(c Program) string {
	link := filepath.Join(p.Deps.Home.ReleaseDir(), p.Name, chosenLink)
	if to, err := os.Readlink(link); err != nil || to != c.SHA256 {
		return c.Path
	}
	return link
}

// configure changes the configuration of the next starts. Instances beyond its number are left to the caller.
func (p *Process) configure(spec processfile.Process, shared map[string]sockets.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spec, p.inherited = spec, shared
}

// revertTo makes the next starts run what runs now, after its successor has failed.
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
			return // its listener is closed: it cannot be started as it was
		}
	}
	p.spec = spec
}

// Instances returns a copy of the list of instances.
func (p *Process) Instances() []*Instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*Instance(nil), p.instances...)
}

// Start starts all instances; those that run are left alone.
func (p *Process) Start() {
	for _, i := range p.Instances() {
		i.Start()
	}
}

// StartUnfinished starts what does not run, except a one-shot that has ended well or waits for its schedule.
func (p *Process) StartUnfinished() {
	for _, i := range p.Instances() {
		switch {
		case i.isScheduledJob():
			i.awaitSchedule()
		case !i.Process.Deps.Store.Get(i.ID).Done:
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

// Stop stops all instances concurrently and returns when they have ended.
func (p *Process) Stop() { p.eachInstance((*Instance).Stop) }

// Close stops all instances for good.
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

// DiffersFrom reports whether an instance runs with another configuration than spec, as far as it would notice.
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

// sameRuntime reports whether two configurations are the same for a process that runs. It does not notice how many
// instances there are, and when its log is rotated.
func sameRuntime(a, b processfile.Process) bool {
	a.Instances, b.Instances = 0, 0
	a.Watch, b.Watch = processfile.Watch{Enabled: a.Watch.Enabled}, processfile.Watch{Enabled: b.Watch.Enabled}
	a.CheckArgs, b.CheckArgs, a.PlanArgs, b.PlanArgs = nil, nil, nil, nil
	a.VersionArgs, b.VersionArgs = nil, nil
	a.Cron, b.Cron = "", ""
	a.Limits.Memory, b.Limits.Memory = 0, 0
	split := [2]bool{a.Logs.Split, b.Logs.Split}
	a.Logs, b.Logs = processfile.Logs{}, processfile.Logs{}
	return split[0] == split[1] && reflect.DeepEqual(a, b)
}

// StartReload replaces the instances one by one, in the background. If one fails the others stay as they are. A reload that
// is requested during another follows it.
func (p *Process) StartReload() { p.requestReload(nil) }

// ReplaceInstances replaces the instances one by one, and returns the error of the first that fails. When ctx ends, the
// instances that were not replaced yet stay as they are, and it returns the cause.
func (p *Process) ReplaceInstances(ctx context.Context) error {
	answer := make(chan error, 1)
	p.requestReload(answer)
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
	}
	p.mu.Lock()
	if slices.Contains(p.reloadWaiters, chan<- error(answer)) {
		p.withdrawReload(context.Cause(ctx))
	}
	p.mu.Unlock()
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
	var ctx context.Context
	ctx, p.withdrawReload = context.WithCancelCause(context.Background())
	go p.runReload(ctx)
}

// runReload replaces the instances until no reload is requested any more, or ctx ends.
func (p *Process) runReload(ctx context.Context) {
	for {
		var err error
		for _, i := range p.Instances() {
			if err = i.Replace(ctx); err != nil {
				break
			}
		}
		if !p.finishReload(err) {
			return
		}
	}
}

// finishReload reports whether another reload was requested during one that succeeded. Else it answers all who wait.
func (p *Process) finishReload(err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	again := p.reloadAgain && err == nil
	if !again {
		p.withdrawReload(nil)
	}
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

// BeginDeploy shows a reload as under way until EndDeploy.
func (p *Process) BeginDeploy() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deploysUnderWay++
}

// EndDeploy ends what BeginDeploy began.
func (p *Process) EndDeploy() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deploysUnderWay--
	if !p.isReloading {
		p.clearReloadFlag()
	}
}

// clearReloadFlag shows that no reload is under way, if so. The caller holds p.mu.
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

// initialRows returns the instances as they are first shown.
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

// RunsOtherThan reports whether an instance runs another release than c.
func (p *Process) RunsOtherThan(c Program) bool {
	return slices.ContainsFunc(p.Instances(), func(i *Instance) bool {
		k := i.Child()
		return k != nil && k.Program.SHA256 != c.SHA256
	})
}

// HasRelease reports whether a release is chosen.
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
