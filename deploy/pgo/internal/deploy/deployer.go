// Package deploy decides which release each of pgo's own processes runs: it accepts deployed files, asks the gates, keeps
// a new release on probation, and rolls back. It is the Backend of package rollout for processes that pgo supervises, and
// their supervise.ReleasePolicy.
//
// The locks, in the order in which they are taken: a target's changing, its mu, that of its process, that of the state
// store.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/rollout"
	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/supervise"
	"pgo/deploy/pgo/internal/watch"
	"pgo/deploy/pgo/internal/web"
)

// Deployer deploys to the processes of a set. Its methods may be called concurrently.
type Deployer struct {
	deps     *supervise.Deps
	set      *supervise.Set
	counters *Counters
	watcher  *watch.Watcher
	turn     chan struct{} // full while a rollout is under way

	targetsMu sync.Mutex // guards targets
	targets   map[*supervise.Process]*target
}

// New returns a deployer, and makes it the policy of the processes.
func New(deps *supervise.Deps, set *supervise.Set) *Deployer {
	d := &Deployer{
		deps: deps, set: set, counters: newCounters(deps.Link.KeepData),
		turn: make(chan struct{}, 1), targets: map[*supervise.Process]*target{},
	}
	d.watcher = watch.New(d, watch.Options{UseInotify: true})
	deps.DeployedPrograms, set.Policy = d.DeployedPrograms, d
	return d
}

// Counters returns the metrics of deploys.
func (d *Deployer) Counters() *Counters { return d.counters }

// Watcher returns the watcher of the deployed files; its caller runs it.
func (d *Deployer) Watcher() *watch.Watcher { return d.watcher }

// UpdateWatches makes the watcher watch exactly the deployed files of the processes that there are.
func (d *Deployer) UpdateWatches() {
	processes := d.set.ByName()
	var all []watch.File
	for _, name := range supervise.SortedNames(processes) {
		if spec := processes[name].Spec(); spec.Watch.Enabled {
			all = append(all, watch.File{Path: spec.Command, Companions: []string{release.SumFilePath(spec.Command)}})
		}
	}
	d.watcher.SetFiles(all...)
}

// LockRollouts keeps rollouts from starting until unlock is called. It returns ErrBusy while one is under way.
func (d *Deployer) LockRollouts() (unlock func(), err error) {
	select {
	case d.turn <- struct{}{}:
		return func() { <-d.turn }, nil
	default:
		return nil, ErrBusy
	}
}

// rolloutEndTimeout is how long a stop waits for a rollout to be rolled back, which goes on after it.
const rolloutEndTimeout = 10 * time.Second

// AwaitRollout waits until no rollout is under way, for at most rolloutEndTimeout.
func (d *Deployer) AwaitRollout() {
	timer := time.NewTimer(rolloutEndTimeout)
	defer timer.Stop()
	select {
	case d.turn <- struct{}{}:
		<-d.turn
	case <-timer.C:
		d.deps.Log.Warn("processes are stopped while a deploy is rolled back")
	}
}

// target is a process as deploys see it.
type target struct {
	process  *supervise.Process
	deployer *Deployer
	ctx      context.Context // ends when the process is closed, or everything is to be stopped
	close    context.CancelCauseFunc

	changing chan struct{} // full while the chosen release changes

	mu         sync.Mutex              // guards the fields below
	probation  *probation              // of the release that runs; nil once that has passed
	endRollout context.CancelCauseFunc // of the rollout that changes the release; nil if none does
	isStopping bool                    // that rollout ends since the process is about to be stopped
}

// lock waits until no one else changes the chosen release. When ctx ends first, it returns the cause.
func (t *target) lock(ctx context.Context) error {
	select {
	case t.changing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tryLock reports whether no one else changes the chosen release, and locks it then.
func (t *target) tryLock() bool {
	select {
	case t.changing <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t *target) unlock() { <-t.changing }

// setRollout sets how the rollout that has locked the target ends; nil when it unlocks it.
func (t *target) setRollout(end context.CancelCauseFunc) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endRollout, t.isStopping = end, false
}

// interruptRollout ends the rollout that changes the release, since its process is about to be stopped. It reports whether one
// does.
func (t *target) interruptRollout(why error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.endRollout == nil {
		return false
	}
	t.isStopping = true
	t.endRollout(&rollout.Interruption{Reason: why})
	return true
}

// isAboutToEnd reports whether the process is closed, or about to be stopped.
func (t *target) isAboutToEnd() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.isStopping || t.ctx.Err() != nil
}

// target returns the target of a process, the same one each time.
func (d *Deployer) target(p *supervise.Process) *target {
	d.targetsMu.Lock()
	defer d.targetsMu.Unlock()
	t := d.targets[p]
	if t == nil {
		t = &target{process: p, deployer: d, changing: make(chan struct{}, 1)}
		t.ctx, t.close = context.WithCancelCause(d.set.Context())
		d.targets[p] = t
	}
	return t
}

// HandleStop ends the rollout that one of these processes is part of: they are about to be stopped by command, for the reason. It
// returns when the rollout was rolled back, as far as gates have to be asked for that which may be stopped too.
func (d *Deployer) HandleStop(stopped map[string]*supervise.Process, why string) {
	isInterrupted := false
	for _, name := range supervise.SortedNames(stopped) {
		isInterrupted = d.target(stopped[name]).interruptRollout(fmt.Errorf("%s %s", name, why)) || isInterrupted
	}
	if isInterrupted {
		d.AwaitRollout()
	}
}

// errClosed is the cause of the end of a target's context whose process was closed.
var errClosed = errors.New("the process was removed")

// Forget drops what is known of a process that was closed.
func (d *Deployer) Forget(p *supervise.Process) {
	d.targetsMu.Lock()
	t := d.targets[p]
	delete(d.targets, p)
	d.targetsMu.Unlock()
	if t != nil {
		t.close(errClosed)
		t.cancelProbation()
	}
}

// store returns the releases of the process.
func (t *target) store() *release.Store { return t.deployer.deps.Releases(t.process.Spec()) }

// announce publishes what happens to the release of the process. change, unless it is nil, changes its records.
func (t *target) announce(change func(*state.Record), format string, values ...any) {
	t.deployer.deps.Store.Announce(t.process.Name, fmt.Sprintf(format, values...), change)
}

// instanceState returns the record of an instance.
func (t *target) instanceState(i *supervise.Instance) state.Record {
	return t.deployer.deps.Store.Get(i.ID)
}

// clearFailedReload forgets that a reload failed: the release that failed is not run any more.
func (t *target) clearFailedReload() {
	for _, i := range t.process.Instances() {
		t.deployer.deps.Store.Update(i.ID, func(r *state.Record) { r.Process.ReloadFailure, r.Process.LastLines = "", nil })
	}
}

// deployFailure returns why the deployed file is not what runs, or "".
func (t *target) deployFailure() string {
	return t.deployer.deps.Store.Get(state.InstanceID{Name: t.process.Name, Number: 0}).Process.DeployFailure
}

// showFailure shows that what was deployed is not what runs, and why. It reports whether that is news: an earlier manager
// may have shown it.
func (t *target) showFailure(why error) bool {
	text := why.Error()
	if t.deployFailure() == text {
		return false
	}
	t.announce(func(r *state.Record) { r.Process.DeployFailure = text }, "not taken: %s", text)
	return true
}

// clearFailure ends what showFailure has shown.
func (t *target) clearFailure() {
	if t.deployFailure() != "" {
		t.announce(func(r *state.Record) { r.Process.DeployFailure = "" }, "what is deployed is what runs")
	}
}

// countRefusal counts a release that was not accepted. One whose process was started and is not ready is counted as a
// failed reload already.
func (t *target) countRefusal(why error) {
	reason := reasonOf(why)
	if reason != web.ReasonNotReady {
		t.deployer.deps.Reloads.Count(t.process.Name, web.ResultRefused, 0)
	}
	t.deployer.counters.countResult(t.process.Name, web.ResultRefused, reason)
}
