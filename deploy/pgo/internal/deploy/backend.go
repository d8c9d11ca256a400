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
	gatesTimeout = time.Minute      // for gates that cannot answer now whether the releases from before may run
)

// RollOut runs a rollout and returns what became of it, which the audit log has then. If ctx ends before the probation is
// over, it rolls back.
func (d *Deployer) RollOut(ctx context.Context, request control.RolloutRequest, report rollout.Report) audit.Entry {
	unlock, err := d.LockRollouts()
	if err != nil {
		return rollout.Refuse(backend{d}, request, err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-d.set.Ended(): // everything was stopped
			cancel()
		case <-ctx.Done():
		}
	}()
	return rollout.New(backend{d}, d.deps.Home.RolloutPath(), d.deps.Log, request, report).Run(ctx)
}

// backend implements rollout.Backend for the processes that pgo supervises.
type backend struct{ deployer *Deployer }

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
	if err := t.lockChanging(ctx); err != nil {
		return nil, err
	}
	s := &rolloutTarget{target: t, rollout: r, result: make(chan error, 1)}
	s.from, s.noProgram = p.Program()
	to, err := t.store().Find(process, sha256)
	if err != nil {
		return s, err
	}
	s.to = supervise.ProgramOf(to)
	return s, r.CheckNotBad(process, s.Label(), to.Record)
}

// lockChanging waits until no one else changes what the process runs.
func (t *target) lockChanging(ctx context.Context) error {
	for end := time.Now().Add(lockTimeout); !t.changing.TryLock(); {
		select {
		case <-ctx.Done():
			return rollout.ErrConnectionLost(ctx)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is just being deployed otherwise", t.process.Name)
		}
	}
	return nil
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
	if err := b.deployer.askGates(all); err != nil {
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
		lines, err := b.deployer.runGate(gate, args, all)
		if err != nil {
			return fmt.Errorf("%s: %w", gate.Name, err)
		}
		for _, line := range lines {
			report(gate.Name, line)
		}
	}
	return nil
}

// awaitGates waits until the gates can be asked, and returns the new programs.
func (b backend) awaitGates(ctx context.Context, targets []rollout.Target) (programs, error) {
	all := programs{}
	for _, t := range targets {
		s := t.(*rolloutTarget)
		all[s.target.process] = s.to
		if err := b.deployer.awaitGates(ctx, s.target.process, true); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// AskGatesToRevert implements rollout.Backend. A migration may forbid to go back. It asks again while a gate cannot
// answer, for at most gatesTimeout.
func (b backend) AskGatesToRevert(targets []rollout.Target) error {
	all := programs{}
	for _, t := range targets {
		if s := t.(*rolloutTarget); s.from.SHA256 != "" {
			all[s.target.process] = s.from
		}
	}
	for end := time.Now().Add(gatesTimeout); len(all) > 0; {
		err := b.deployer.askGates(all)
		if err == nil || !errors.Is(err, watch.ErrNotNow) || time.Now().After(end) {
			return err
		}
		select {
		case <-b.deployer.set.Ended():
			return supervise.ErrDown
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
