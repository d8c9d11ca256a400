package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/rollout"
	"pgo/deploy/pgo/internal/supervise"
	"pgo/deploy/pgo/internal/watch"
)

// ErrBusy is the error of a second rollout.
var ErrBusy = errors.New("another deploy is being applied, or rolled back")

const (
	lockTimeout  = 10 * time.Second // for another deploy of one process, as of the watch
	gatesTimeout = time.Minute      // for gates that are not ready, or cannot answer now
)

// RollOut runs a rollout and returns what became of it, which the audit log has then. It rolls back if ctx ends before the
// probation is over, or one of its processes is stopped or closed by command.
func (d *Deployer) RollOut(ctx context.Context, request control.RolloutRequest, report rollout.Report) audit.Entry {
	unlock, err := d.LockRollouts()
	if err != nil {
		return rollout.Refuse(backend{deployer: d}, request, err)
	}
	defer unlock()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	stop := context.AfterFunc(d.set.Context(), func() { end(&rollout.Interruption{Reason: supervise.ErrDown}) })
	defer stop()
	return rollout.New(backend{d, end}, d.deps.Home.RolloutPath(), d.deps.Log, request, report).Run(ctx)
}

// backend implements rollout.Backend for the processes that pgo supervises.
type backend struct {
	deployer   *Deployer
	endRollout context.CancelCauseFunc
}

// FindRollbackSet implements rollout.Backend.
func (b backend) FindRollbackSet(ctx context.Context, process, release string) ([]audit.Change, error) {
	return b.deployer.findRollbackSet(ctx, process, release)
}

// OpenTarget implements rollout.Backend.
func (b backend) OpenTarget(ctx context.Context, r *rollout.Rollout, process, sha256 string) (rollout.Target, error) {
	d := b.deployer
	if d.set.IsDown() {
		return nil, supervise.ErrDown
	}
	p := d.set.Lookup(process)
	switch {
	case p == nil:
		return nil, fmt.Errorf("there is no process %q here", process)
	case !p.Spec().Watch.Enabled:
		return nil, fmt.Errorf("%s cannot be deployed: it is not watched (watch: true in the process file)", process)
	}
	t := d.target(p)
	if err := t.lockForRollout(ctx); err != nil {
		return nil, err
	}
	t.setRollout(b.endRollout)
	s := &rolloutTarget{target: t, rollout: r, result: make(chan error, 1)}
	s.from, s.noProgram = p.Program()
	to, err := t.store().Find(process, sha256)
	if err != nil {
		return s, err
	}
	s.to = supervise.ProgramOf(to)
	return s, r.CheckNotBad(process, s.Label(), to.Record)
}

// lockForRollout waits until no one else changes what the process runs, for at most lockTimeout.
func (t *target) lockForRollout(ctx context.Context) error {
	limited, cancel := context.WithTimeoutCause(ctx, lockTimeout, fmt.Errorf("%s is just being deployed otherwise", t.process.Name))
	defer cancel()
	err := t.lock(limited)
	if err != nil && ctx.Err() != nil {
		return rollout.ExplainInterruption(ctx)
	}
	return err
}

// Levels implements rollout.Backend.
func (b backend) Levels(targets []rollout.Target) [][]rollout.Target {
	processes := b.deployer.set.ByName()
	return rollout.SortByLevel(targets, func(process string) []string {
		if p := processes[process]; p != nil {
			return p.Spec().After
		}
		return nil
	})
}

// AskGates implements rollout.Backend.
func (b backend) AskGates(ctx context.Context, targets []rollout.Target, report func(gate, text string)) error {
	all, err := b.awaitGates(ctx, targets)
	if err != nil {
		return err
	}
	if err := b.deployer.askGates(ctx, all); err != nil {
		return err
	}
	for _, gate := range b.deployer.gatesOfAll(all) {
		report(gate.Name, "lets them run")
	}
	return nil
}

// PlanGates implements rollout.Backend.
func (b backend) PlanGates(ctx context.Context, targets []rollout.Target, report func(gate, text string)) error {
	all, err := b.awaitGates(ctx, targets)
	if err != nil {
		return err
	}
	for _, gate := range b.deployer.gatesOfAll(all) {
		args := gate.Spec().PlanArgs
		if len(args) == 0 {
			report(gate.Name, "cannot say what it would do: the process file has no plan for it")
			continue
		}
		lines, err := b.deployer.runGate(ctx, gate, args, all)
		if err != nil {
			return fmt.Errorf("%s: %w", gate.Name, err)
		}
		for _, line := range lines {
			report(gate.Name, line)
		}
	}
	return nil
}

// awaitGates waits until the gates can be asked, for at most gatesTimeout, and returns the new programs.
func (b backend) awaitGates(ctx context.Context, targets []rollout.Target) (programs, error) {
	limited, cancel := context.WithTimeoutCause(ctx, gatesTimeout, fmt.Errorf("not ready within %s", gatesTimeout))
	defer cancel()
	all := programs{}
	for _, t := range targets {
		s := t.(*rolloutTarget)
		all[s.target.process] = s.to
		err := b.deployer.awaitGates(limited, s.target.process, true)
		if err != nil && ctx.Err() != nil {
			return nil, rollout.ExplainInterruption(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// AskGatesToRevert implements rollout.Backend. A migration may forbid to go back. It asks again while a gate cannot
// answer, for at most gatesTimeout, and not once everything is to be stopped.
func (b backend) AskGatesToRevert(targets []rollout.Target) error {
	all := programs{}
	for _, t := range targets {
		if s := t.(*rolloutTarget); s.from.SHA256 != "" {
			all[s.target.process] = s.from
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), gatesTimeout)
	defer cancel()
	for len(all) > 0 {
		isLast := b.deployer.set.IsDown()
		err := b.deployer.askGates(ctx, all)
		if err == nil || !errors.Is(err, watch.ErrNotNow) || isLast || ctx.Err() != nil {
			return err
		}
		select {
		case <-b.deployer.set.Context().Done():
		case <-time.After(time.Second):
		}
	}
	return nil
}

// Record implements rollout.Backend. An audit log that cannot be written is only logged.
func (b backend) Record(e audit.Entry, isCheck bool) error {
	log := b.deployer.deps.Log
	log.Info("deploy ended", "id", e.ID, "kind", e.Kind, "by", e.User, "result", e.Result, "why", e.Reason)
	if isCheck {
		return nil
	}
	if err := b.deployer.deps.Home.AuditLog().Append(e); err != nil {
		log.Error("write the audit log", "error", err)
	}
	return nil
}
