package manager

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pgo/deploy/pgo/control"
	"pgo/deploy/pgo/release"
	files "pgo/deploy/pgo/watch"
)

// strikes is how often a process may end by itself, or not become ready, while its release is on probation.
const strikes = 2

// trial is the probation of a release: it has to run for a time with no process of it ending by itself.
type trial struct {
	release copied
	ends    int  // processes that have ended
	stuck   bool // there is nothing to go back to
	timer   *time.Timer
	answer  chan<- error // who decides what follows from it; nil: it is gone back by itself
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

// prove begins a release's probation.
func (p *process) prove(c copied) { p.proveTo(c, nil) }

// proveTo begins it for somebody who decides what follows.
func (p *process) proveTo(c copied, answer chan<- error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopTrial()
	t := &trial{release: c, answer: answer}
	t.timer = time.AfterFunc(p.spec.Watch.Probation, func() { p.proven(t) })
	p.trial = t
}

// proveLive begins it for the release that is live, unless that has proven itself already.
func (p *process) proveLive() {
	if r, err := p.store(p.current()).Live(p.name); err == nil && r.GoodAt == nil {
		p.prove(copyOf(r))
	}
}

// stopTrial ends a probation. Its caller has the lock.
func (p *process) stopTrial() {
	if p.trial != nil {
		p.trial.timer.Stop()
		p.trial = nil
	}
}

// proven ends it well, if the release serves.
func (p *process) proven(t *trial) {
	probation := p.current().Watch.Probation
	left := time.Duration(0)
	for _, i := range p.all() {
		k := i.runs()
		if k == nil || k.prog.sum != t.release.sum || i.board.get(i.slot).Status != control.Ready {
			left = probation
			break
		}
		left = max(left, probation-k.up())
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
	p.trial = nil
	if t.tell(nil) {
		return
	}
	if err := p.store(p.spec).MarkGood(context.Background(), p.name, t.release.sum); err != nil {
		p.log.Error("mark a good release", "process", p.name, "error", err)
		return
	}
	p.board.remark(p.name, fmt.Sprintf("release %s has proven itself", t.release), func(*record) {})
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
	t := i.trial
	return t != nil && t.release.sum == k.prog.sum && t.tell(why)
}

// goBack changes to the good release before, if there is one and the gates let it run. Its caller has p.deploying.
func (p *process) goBack(t *trial, why string) bool {
	ctx, store := context.Background(), p.store(p.current())
	to, err := store.RollbackTarget(ctx, p.name)
	if err == nil {
		err = p.gates.pass(p, copyOf(to))
	}
	switch {
	case errors.Is(err, files.ErrNotNow):
		p.log.Warn("not gone back yet", "process", p.name, "error", err)
		return false
	case err != nil:
		p.mu.Lock()
		t.stuck = true
		p.mu.Unlock()
		p.board.remark(p.name, fmt.Sprintf("release %s: %s; not gone back: %v", t.release, why, err), func(r *record) {
			if !errors.Is(err, release.ErrNoTarget) {
				r.NotTaken = fmt.Sprintf("release %s: %s; not gone back: %v", t.release, why, err)
			}
		})
		return false
	}
	c := copyOf(to)
	// On a full disk the marks stay as they were: what runs is more important.
	if err := errors.Join(store.SetLive(ctx, p.name, c.sum), store.MarkBad(ctx, p.name, t.release.sum, why)); err != nil {
		p.log.Error("mark a release", "process", p.name, "error", err)
	}
	p.mu.Lock()
	p.stopTrial()
	p.mu.Unlock()
	p.choose(c)
	text := fmt.Sprintf("release %s: %s; went back to release %s", t.release, why, c)
	p.tally.rolledBack(p.name)
	p.board.remark(p.name, text, func(r *record) { r.NotTaken = text })
	if p.runsOther(c) {
		p.reload() // the other instances
	}
	return true
}
