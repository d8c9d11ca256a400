package manager

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
	files "pgo/deploy/pgo/internal/watch"
	"pgo/deploy/pgo/internal/web"
)

// strikes is how often a process may end by itself, or not become ready, while its release is on probation.
const strikes = 2

// trial is the probation of a release: it has to run for a time with no process of it ending by itself, and without
// answering more requests with errors than the one before.
type trial struct {
	release supervise.Program
	before  float64         // the share of requests that failed before it
	ends    int             // processes that have ended
	stuck   bool            // there is nothing to go back to
	base    requests.Totals // what it had answered when it was found to be stuck, and still failing, last
	unread  int             // times that its errors could not be told
	timer   *time.Timer
	cancel  context.CancelFunc // ends the counting of errors
	answer  chan<- error       // who decides what follows from it; nil: it is gone back by itself
}

// tell leaves it to who decides. It tells whether there is somebody.
func (t *trial) tell(outcome error) bool {
	if t.answer == nil {
		return false
	}
	select {
	case t.answer <- outcome:
	default: // it has heard enough
	}
	return true
}

// prove begins a release's probation. before is the share of requests that failed before it.
func (p *target) prove(c supervise.Program, before float64) { p.proveTo(c, before, nil) }

// proveTo begins it for somebody who decides what follows.
func (p *target) proveTo(c supervise.Program, before float64, answer chan<- error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopTrial()
	ctx, cancel := context.WithCancel(context.Background())
	t := &trial{release: c, before: before, cancel: cancel, answer: answer}
	t.timer = time.AfterFunc(p.Spec().Watch.Probation, func() { p.proven(ctx, t) })
	p.trial = t
	if p.Spec().Watch.ErrorRate.Enabled {
		go p.count(ctx, t)
	}
}

// proveLive begins it for the release that is live, unless that has proven itself already.
func (p *target) proveLive() {
	if r, err := p.Deps.Releases(p.Spec()).Current(p.Name); err == nil && r.Record.PassedAt == nil {
		p.prove(supervise.ProgramOf(r), p.before(r.Record.Verification.SHA256))
	}
}

// stopTrial ends a probation. Its caller has the lock.
func (p *target) stopTrial() {
	if p.trial != nil {
		p.trial.timer.Stop()
		p.trial.cancel()
		p.trial = nil
	}
}

func (p *target) cancelProbation() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopTrial()
}

// proven ends it well, if the release serves.
func (p *target) proven(ctx context.Context, t *trial) {
	probation := p.Spec().Watch.Probation
	left := time.Duration(0)
	for _, i := range p.Instances() {
		k := i.Child()
		if k == nil || k.Program.SHA256 != t.release.SHA256 || i.Process.Deps.Store.Get(i.ID).Process.Status != control.Ready {
			left = probation
			break
		}
		left = max(left, probation-k.Uptime())
	}
	if left <= 0 && p.Spec().Watch.ErrorRate.Enabled && p.tooMany(ctx, t) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trial != t {
		return
	}
	if left > 0 {
		t.timer.Reset(left)
		return
	}
	p.stopTrial()
	if t.tell(nil) {
		return
	}
	if err := p.Deps.Releases(p.Spec()).MarkPassed(context.Background(), p.Name, t.release.SHA256); err != nil {
		p.Deps.Log.Error("mark a good release", "process", p.Name, "error", err)
		return
	}
	p.Deps.Store.Announce(p.Name, fmt.Sprintf("release %s has proven itself", t.release), nil)
}

// strike counts the end of a process against its release, where that is on probation, and goes back to the release
// before when it is enough. It tells whether it did.
// HandleExit implements ReleasePolicy.
func (m *Manager) HandleExit(of *supervise.Process, c supervise.Program, how string, isFinal bool) bool {
	p := m.target(of)
	p.mu.Lock()
	t := p.trial
	if t == nil || t.release.SHA256 != c.SHA256 || t.stuck {
		p.mu.Unlock()
		return false
	}
	t.ends++
	t.timer.Reset(p.Spec().Watch.Probation)
	enough := isFinal || t.ends >= strikes
	p.mu.Unlock()
	why := fmt.Sprintf("%s, %d times while it was on probation", how, t.ends)
	if isFinal {
		why = how + " while it was on probation"
	}
	if !enough || t.tell(errors.New(why)) {
		return false
	}
	// Another deployment that is under way waits for this very instance, and ends this release anyway.
	if !p.deploying.TryLock() {
		return false
	}
	defer p.deploying.Unlock()
	return p.goBack(t, why)
}

// HandleFault implements ReleasePolicy.
func (m *Manager) HandleFault(of *supervise.Process, runs supervise.Program, why error) bool {
	p := m.target(of)
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.trial
	return t != nil && t.release.SHA256 == runs.SHA256 && t.tell(why)
}

// goBack changes to the good release before, if there is one and the gates let it run: from the next start on. Its
// caller has p.deploying.
func (p *target) goBack(t *trial, why string) bool {
	c, ok := p.retreat(t, why)
	if !ok {
		return false
	}
	p.Choose(c)
	p.wentBack(t, c, why, web.ReasonExited)
	if p.RunsOtherThan(c) {
		p.StartReload() // the other instances
	}
	return true
}

// leave does the same for a release that serves: by a reload. Its caller has p.deploying.
func (p *target) leave(t *trial, why string) {
	c, ok := p.retreat(t, why)
	if !ok {
		return
	}
	p.Choose(c)
	if err := p.ReplaceInstances(); err != nil {
		// One that fails now and then is better than one that does not start.
		p.Choose(t.release)
		if p.RunsOtherThan(t.release) {
			err = errors.Join(err, p.ReplaceInstances())
		}
		p.stay(t, why, fmt.Errorf("release %s: %w", c, err))
		return
	}
	p.wentBack(t, c, why, web.ReasonErrors)
}

// retreat is the good release to go back to. It says where there is none.
func (p *target) retreat(t *trial, why string) (supervise.Program, bool) {
	to, err := p.Deps.Releases(p.Spec()).RollbackTarget(context.Background(), p.Name)
	if err == nil {
		err = p.manager.pass(p.Process, supervise.ProgramOf(to))
	}
	switch {
	case errors.Is(err, files.ErrNotNow):
		p.Deps.Log.Warn("not gone back yet", "process", p.Name, "error", err)
		return supervise.Program{}, false
	case err != nil:
		p.stay(t, why, err)
		return supervise.Program{}, false
	}
	return supervise.ProgramOf(to), true
}

// stay says why a release is not gone back from, once.
func (p *target) stay(t *trial, why string, err error) {
	p.mu.Lock()
	t.stuck = true
	p.mu.Unlock()
	p.Deps.Store.Announce(p.Name, fmt.Sprintf("release %s: %s; not gone back: %v", t.release, why, err), func(r *state.Record) {
		if !errors.Is(err, release.ErrNoRollbackTarget) {
			r.Process.DeployFailure = fmt.Sprintf("release %s: %s; not gone back: %v", t.release, why, err)
		}
	})
}

// wentBack writes down that a release was gone back from.
func (p *target) wentBack(t *trial, c supervise.Program, why, reason string) {
	ctx, store := context.Background(), p.Deps.Releases(p.Spec())
	// On a full disk the marks stay as they were: what runs is more important.
	if err := errors.Join(store.SetCurrent(ctx, p.Name, c.SHA256), store.MarkFailed(ctx, p.Name, t.release.SHA256, why)); err != nil {
		p.Deps.Log.Error("mark a release", "process", p.Name, "error", err)
	}
	p.cancelProbation()
	text := fmt.Sprintf("release %s: %s; went back to release %s", t.release, why, c)
	p.Deps.Reloads.CountRollback(p.Name)
	p.manager.deploys.count(p.Name, web.ResultRolledBack, reason)
	p.Deps.Store.Announce(p.Name, text, func(r *state.Record) { r.Process.DeployFailure = text })
}
