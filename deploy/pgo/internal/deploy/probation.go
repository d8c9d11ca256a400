package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/requests"
	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/supervise"
	"pgo/deploy/pgo/internal/watch"
	"pgo/deploy/pgo/internal/web"
)

// maxFailures is how often processes may end by themselves, or not become ready, while their release is on probation: at
// that many it has failed.
const maxFailures = 2

// probation is the time in which a release has to run with no process of it ending by itself, and without answering more
// requests with errors than the one before. It begins again at each failure.
type probation struct {
	release  supervise.Program
	baseline float64            // share of requests that failed before the release
	result   chan<- error       // of a rollout, which decides what follows; nil: the target rolls back by itself
	timer    *time.Timer        // of its end
	cancel   context.CancelFunc // stops counting failed requests

	failures int             // processes that have ended
	isStuck  bool            // there is nothing to roll back to
	counted  requests.Totals // when it was found to be stuck, and still failing, last
	unread   int             // times in a row that failed requests could not be counted
}

// report sends the result to the rollout that waits for it. It returns false if none does. Only the first result counts.
func (b *probation) report(result error) bool {
	if b.result == nil {
		return false
	}
	select {
	case b.result <- result:
	default:
	}
	return true
}

// startProbation begins a release's probation, and ends that of another. result is nil, or gets the result. A process that is
// closed has none.
func (t *target) startProbation(p supervise.Program, baseline float64, result chan<- error) {
	spec := t.process.Spec()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endProbation()
	if t.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(t.ctx)
	b := &probation{release: p, baseline: baseline, cancel: cancel, result: result}
	b.timer = time.AfterFunc(spec.Watch.Probation, func() { t.verifyRelease(ctx, b) })
	t.probation = b
	if spec.Watch.ErrorRate.Enabled {
		go t.watchErrorRate(ctx, b)
	}
}

// resumeProbation begins the probation of the current release, unless it has passed before.
func (t *target) resumeProbation() {
	if r, err := t.store().Current(t.process.Name); err == nil && r.Record.PassedAt == nil {
		t.startProbation(supervise.ProgramOf(r), t.keptBaseline(r.Record.Verification.SHA256), nil)
	}
}

// endProbation ends the probation without a result. The caller holds t.mu.
func (t *target) endProbation() {
	if t.probation != nil {
		t.probation.timer.Stop()
		t.probation.cancel()
		t.probation = nil
	}
}

func (t *target) cancelProbation() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endProbation()
}

// verifyRelease ends a probation whose time is over: the release has passed if every instance has run it for long enough and is
// ready.
func (t *target) verifyRelease(ctx context.Context, b *probation) {
	left := t.probationLeft(b)
	if left <= 0 && t.process.Spec().Watch.ErrorRate.Enabled && t.checkErrorRate(ctx, b) {
		return
	}
	store := t.store()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.probation != b {
		return
	}
	if left > 0 {
		b.timer.Reset(left)
		return
	}
	t.endProbation()
	if b.report(nil) {
		return
	}
	if err := store.MarkPassed(context.Background(), t.process.Name, b.release.SHA256); err != nil {
		t.deployer.deps.Log.Error("mark a good release", "process", t.process.Name, "error", err)
		return
	}
	t.announce(nil, "release %s has proven itself", b.release)
}

// probationLeft returns how long the release still has to run: the whole time if an instance is not ready with it.
func (t *target) probationLeft(b *probation) time.Duration {
	whole := t.process.Spec().Watch.Probation
	left := time.Duration(0)
	for _, i := range t.process.Instances() {
		k := i.Child()
		if k == nil || k.Program.SHA256 != b.release.SHA256 || t.instanceState(i).Process.Status != control.Ready {
			return whole
		}
		left = max(left, whole-k.Uptime())
	}
	return left
}

// HandleExit implements supervise.ReleasePolicy: it counts the end of a process against its release, if that is on
// probation, and rolls back at maxFailures.
func (d *Deployer) HandleExit(ctx context.Context, p *supervise.Process, ran supervise.Program, how string, isFinal bool) bool {
	t := d.target(p)
	whole := p.Spec().Watch.Probation
	t.mu.Lock()
	b := t.probation
	if b == nil || b.release.SHA256 != ran.SHA256 || b.isStuck {
		t.mu.Unlock()
		return false
	}
	b.failures++
	b.timer.Reset(whole)
	has, why := b.judgeExit(how, isFinal)
	t.mu.Unlock()
	if !has || b.report(errors.New(why)) {
		return false
	}
	// Another deploy that is under way waits for this very instance, and replaces this release anyway.
	if !t.tryLock() {
		return false
	}
	defer t.unlock()
	return t.rollBackExited(ctx, b, why)
}

// judgeExit returns whether a release has failed with the end of another process, and why.
func (b *probation) judgeExit(how string, isFinal bool) (hasFailed bool, why string) {
	if isFinal {
		return true, how + " while it was on probation"
	}
	return b.failures >= maxFailures, fmt.Sprintf("%s, %d times while it was on probation", how, b.failures)
}

// HandleFault implements supervise.ReleasePolicy: a rollout that waits for the release's probation gets the fault.
func (d *Deployer) HandleFault(p *supervise.Process, runs supervise.Program, why error) bool {
	t := d.target(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.probation
	return b != nil && b.release.SHA256 == runs.SHA256 && b.report(why)
}

// rollBackExited chooses the last good release for the next starts, if there is one and the gates allow it. The caller
// has locked t.
func (t *target) rollBackExited(ctx context.Context, b *probation, why string) bool {
	to, ok := t.findRollbackTarget(ctx, b, why)
	if !ok {
		return false
	}
	t.process.Choose(to)
	t.recordRollback(b, to, why, web.ReasonExited)
	if t.process.RunsOtherThan(to) {
		t.process.StartReload() // of the other instances
	}
	return true
}

// rollBackServing reloads a release that serves with the last good one, if there is one and the gates allow it. The caller
// has locked t.
func (t *target) rollBackServing(b *probation, why string) {
	to, ok := t.findRollbackTarget(t.ctx, b, why)
	if !ok {
		return
	}
	t.process.Choose(to)
	if err := t.replaceInstances(t.ctx); err != nil {
		// A release that fails now and then is better than one that does not start.
		t.process.Choose(b.release)
		if t.process.RunsOtherThan(b.release) {
			err = errors.Join(err, t.replaceInstances(t.ctx))
		}
		t.markStuck(b, why, fmt.Errorf("release %s: %w", to, err))
		return
	}
	t.recordRollback(b, to, why, web.ReasonErrors)
}

// findRollbackTarget returns the last good release. If there is none, or a gate forbids it, it shows that.
func (t *target) findRollbackTarget(ctx context.Context, b *probation, why string) (supervise.Program, bool) {
	to, err := t.store().RollbackTarget(ctx, t.process.Name)
	if err == nil {
		err = t.deployer.askGates(ctx, programs{t.process: supervise.ProgramOf(to)})
	}
	switch {
	case ctx.Err() != nil: // the process is stopped
		return supervise.Program{}, false
	case errors.Is(err, watch.ErrNotNow):
		t.deployer.deps.Log.Warn("not gone back yet", "process", t.process.Name, "error", err)
		return supervise.Program{}, false
	case err != nil:
		t.markStuck(b, why, err)
		return supervise.Program{}, false
	}
	return supervise.ProgramOf(to), true
}

// markStuck shows why a failed release stays, once.
func (t *target) markStuck(b *probation, why string, err error) {
	t.mu.Lock()
	b.isStuck = true
	t.mu.Unlock()
	text := fmt.Sprintf("release %s: %s; not gone back: %v", b.release, why, err)
	t.announce(func(r *state.Record) {
		if !errors.Is(err, release.ErrNoRollbackTarget) {
			r.Process.DeployFailure = text
		}
	}, "%s", text)
}

// recordRollback records that a release was rolled back by itself. On a full disk the marks in the store stay as they
// were: what runs is more important.
func (t *target) recordRollback(b *probation, to supervise.Program, why, reason string) {
	ctx, store, name := context.Background(), t.store(), t.process.Name
	if err := errors.Join(store.SetCurrent(ctx, name, to.SHA256), store.MarkFailed(ctx, name, b.release.SHA256, why)); err != nil {
		t.deployer.deps.Log.Error("mark a release", "process", name, "error", err)
	}
	t.cancelProbation()
	text := fmt.Sprintf("release %s: %s; went back to release %s", b.release, why, to)
	t.deployer.deps.Reloads.CountRollback(name)
	t.deployer.counters.countResult(name, web.ResultRolledBack, reason)
	t.announce(func(r *state.Record) { r.Process.DeployFailure = text }, "%s", text)
}
