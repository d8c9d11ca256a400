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
	files "pgo/deploy/pgo/internal/watch"
	"pgo/deploy/pgo/internal/web"
)

// strikes is how often a process may end by itself, or not become ready, while its release is on probation.
const strikes = 2

// trial is the probation of a release: it has to run for a time with no process of it ending by itself, and without
// answering more requests with errors than the one before.
type trial struct {
	release copied
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
func (p *process) prove(c copied, before float64) { p.proveTo(c, before, nil) }

// proveTo begins it for somebody who decides what follows.
func (p *process) proveTo(c copied, before float64, answer chan<- error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopTrial()
	ctx, cancel := context.WithCancel(context.Background())
	t := &trial{release: c, before: before, cancel: cancel, answer: answer}
	t.timer = time.AfterFunc(p.spec.Watch.Probation, func() { p.proven(ctx, t) })
	p.trial = t
	if p.spec.Watch.ErrorRate.Enabled {
		go p.count(ctx, t)
	}
}

// proveLive begins it for the release that is live, unless that has proven itself already.
func (p *process) proveLive() {
	if r, err := p.host.store(p.current()).Current(p.name); err == nil && r.Record.PassedAt == nil {
		p.prove(copyOf(r), p.before(r.Record.Verification.SHA256))
	}
}

// stopTrial ends a probation. Its caller has the lock.
func (p *process) stopTrial() {
	if p.trial != nil {
		p.trial.timer.Stop()
		p.trial.cancel()
		p.trial = nil
	}
}

// proven ends it well, if the release serves.
func (p *process) proven(ctx context.Context, t *trial) {
	probation := p.current().Watch.Probation
	left := time.Duration(0)
	for _, i := range p.all() {
		k := i.runs()
		if k == nil || k.prog.sum != t.release.sum || i.process.host.board.Get(i.slot).Process.Status != control.Ready {
			left = probation
			break
		}
		left = max(left, probation-k.up())
	}
	if left <= 0 && p.current().Watch.ErrorRate.Enabled && p.tooMany(ctx, t) {
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
	if err := p.host.store(p.spec).MarkPassed(context.Background(), p.name, t.release.sum); err != nil {
		p.host.log.Error("mark a good release", "process", p.name, "error", err)
		return
	}
	p.host.board.Announce(p.name, fmt.Sprintf("release %s has proven itself", t.release), nil)
}

// strike counts the end of a process against its release, where that is on probation, and goes back to the release
// before when it is enough. It tells whether it did.
func (i *instance) strike(k *child, how string, v verdict) bool {
	p := i.process
	c, _ := p.program()
	if k != nil {
		c = k.prog
	}
	p.mu.Lock()
	t := p.trial
	if t == nil || t.release.sum != c.sum || t.stuck {
		p.mu.Unlock()
		return false
	}
	t.ends++
	t.timer.Reset(p.spec.Watch.Probation)
	enough := v == failed || t.ends >= strikes
	p.mu.Unlock()
	why := fmt.Sprintf("%s, %d times while it was on probation", how, t.ends)
	if v == failed {
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

// blame tells who decides about the release that a child runs, where that is on probation, what is wrong with it. It
// tells whether there is somebody.
func (i *instance) blame(k *child, why error) bool {
	i.process.mu.Lock()
	defer i.process.mu.Unlock()
	t := i.process.trial
	return t != nil && t.release.sum == k.prog.sum && t.tell(why)
}

// goBack changes to the good release before, if there is one and the gates let it run: from the next start on. Its
// caller has p.deploying.
func (p *process) goBack(t *trial, why string) bool {
	c, ok := p.retreat(t, why)
	if !ok {
		return false
	}
	p.choose(c)
	p.wentBack(t, c, why, web.ReasonExited)
	if p.runsOther(c) {
		p.reload() // the other instances
	}
	return true
}

// leave does the same for a release that serves: by a reload. Its caller has p.deploying.
func (p *process) leave(t *trial, why string) {
	c, ok := p.retreat(t, why)
	if !ok {
		return
	}
	p.choose(c)
	if err := p.replaced(); err != nil {
		// One that fails now and then is better than one that does not start.
		p.choose(t.release)
		if p.runsOther(t.release) {
			err = errors.Join(err, p.replaced())
		}
		p.stay(t, why, fmt.Errorf("release %s: %w", c, err))
		return
	}
	p.wentBack(t, c, why, web.ReasonErrors)
}

// retreat is the good release to go back to. It says where there is none.
func (p *process) retreat(t *trial, why string) (copied, bool) {
	to, err := p.host.store(p.current()).RollbackTarget(context.Background(), p.name)
	if err == nil {
		err = p.host.gates.pass(p, copyOf(to))
	}
	switch {
	case errors.Is(err, files.ErrNotNow):
		p.host.log.Warn("not gone back yet", "process", p.name, "error", err)
		return copied{}, false
	case err != nil:
		p.stay(t, why, err)
		return copied{}, false
	}
	return copyOf(to), true
}

// stay says why a release is not gone back from, once.
func (p *process) stay(t *trial, why string, err error) {
	p.mu.Lock()
	t.stuck = true
	p.mu.Unlock()
	p.host.board.Announce(p.name, fmt.Sprintf("release %s: %s; not gone back: %v", t.release, why, err), func(r *state.Record) {
		if !errors.Is(err, release.ErrNoRollbackTarget) {
			r.Process.DeployFailure = fmt.Sprintf("release %s: %s; not gone back: %v", t.release, why, err)
		}
	})
}

// wentBack writes down that a release was gone back from.
func (p *process) wentBack(t *trial, c copied, why, reason string) {
	ctx, store := context.Background(), p.host.store(p.current())
	// On a full disk the marks stay as they were: what runs is more important.
	if err := errors.Join(store.SetCurrent(ctx, p.name, c.sum), store.MarkFailed(ctx, p.name, t.release.sum, why)); err != nil {
		p.host.log.Error("mark a release", "process", p.name, "error", err)
	}
	p.mu.Lock()
	p.stopTrial()
	p.mu.Unlock()
	text := fmt.Sprintf("release %s: %s; went back to release %s", t.release, why, c)
	p.host.tally.rolledBack(p.name)
	p.host.deploys.count(p.name, web.ResultRolledBack, reason)
	p.host.board.Announce(p.name, text, func(r *state.Record) { r.Process.DeployFailure = text })
}
