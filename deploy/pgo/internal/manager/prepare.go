package manager

import (
	"context"
	"fmt"
	"slices"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/supervise"
)

// prepare finds out whether the set can run here, and has the gates let it. Nothing that runs is touched.
func (r *rollout) prepare(ctx context.Context) error {
	if r.Manager.set.IsDown() {
		return supervise.ErrDown
	}
	if r.entry.Kind == audit.KindRollback && len(r.entry.Changes) == 0 {
		var err error
		if r.entry.Changes, err = r.Manager.lastDeploy(ctx, r.ask.Process, r.ask.Release); err != nil {
			return err
		}
	}
	if err := r.gather(ctx); err != nil || len(r.parts) == 0 {
		return err
	}
	if err := r.question(ctx); err != nil {
		return err
	}
	programs := map[*supervise.Process]supervise.Program{}
	for _, p := range r.parts {
		programs[p.process] = p.to
		if err := r.Manager.awaitGates(ctx, p.process, true); err != nil {
			return err
		}
	}
	if r.ask.CheckOnly {
		return r.plan(programs)
	}
	began := time.Now()
	if err := r.Manager.passAll(programs); err != nil {
		return err
	}
	for _, gate := range r.Manager.gatesOfAll(programs) {
		r.tell(gate.Name, "gate", "lets them run", began)
	}
	if err := ctx.Err(); err != nil {
		return lost(ctx)
	}
	return r.note(switching)
}

// lost is why a rollout ends whose asker has gone.
func lost(ctx context.Context) error {
	return fmt.Errorf("the connection to who deploys was lost: %w", context.Cause(ctx))
}

// gather takes the processes of the set, so that nobody else changes them meanwhile.
func (r *rollout) gather(ctx context.Context) error {
	for n := range r.entry.Changes {
		change := &r.entry.Changes[n]
		p := r.Manager.set.Lookup(change.Process)
		switch {
		case p == nil:
			return fmt.Errorf("there is no process %q here", change.Process)
		case !p.Spec().Watch.Enabled:
			return fmt.Errorf("%s cannot be deployed: it is not watched (watch: true in the process file)", p.Name)
		case slices.ContainsFunc(r.parts, func(other *part) bool { return other.process == p }):
			return fmt.Errorf("%s is named twice", p.Name)
		}
		if err := r.Manager.target(p).take(ctx); err != nil {
			return err
		}
		part := &part{process: p, target: r.Manager.target(p), on: make(chan error, 1)}
		r.parts = append(r.parts, part)
		part.from, part.unfit = p.Program()
		store := r.Manager.host.Releases(p.Spec())
		to, err := store.Find(p.Name, change.To.SHA256)
		if err != nil {
			return err
		}
		if to.Record.FailedAt != nil && to.Record.Failure != byCommand && !r.ask.AllowFailed && r.entry.Kind == audit.KindDeploy {
			return fmt.Errorf("%s: release %s was found bad before: %s: --again tries it all the same", p.Name, supervise.ProgramOf(to), to.Record.Failure)
		}
		part.to = supervise.ProgramOf(to)
		change.From, change.To = part.from.Release(), part.to.Release()
	}
	if err := each(r.parts, func(p *part) error {
		return r.Manager.host.Releases(p.process.Spec()).VerifyContent(ctx, p.process.Name, p.to.SHA256)
	}); err != nil {
		return err
	}
	r.parts = slices.DeleteFunc(r.parts, func(p *part) bool {
		same := p.from.SHA256 == p.to.SHA256 && !p.process.RunsOtherThan(p.to)
		if same {
			p.target.deploying.Unlock()
		}
		return same
	})
	return nil
}

// take waits until nobody else changes what a process runs: the watch may just do so.
func (p *target) take(ctx context.Context) error {
	const patience = 10 * time.Second
	for end := time.Now().Add(patience); !p.deploying.TryLock(); {
		select {
		case <-ctx.Done():
			return lost(ctx)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is just being deployed otherwise", p.Name)
		}
	}
	return nil
}

// free lets others change the processes again.
func (r *rollout) free() {
	for _, p := range r.parts {
		p.target.deploying.Unlock()
	}
}

// question asks the programs whether they can work here, and copies them to where they are deployed, under another
// name: so a full disk is found before anything is touched. A rollback's programs have worked here before, and it goes
// on also without room.
func (r *rollout) question(ctx context.Context) error {
	return each(r.parts, func(p *part) error {
		began := time.Now()
		copied := make(chan error, 1)
		go func() { // the disk takes its time while the program is asked
			var err error
			if !r.ask.CheckOnly {
				p.file, err = stage(p.process.Spec().Command, p.to.Path, r.entry.ID)
			}
			copied <- err
		}()
		if r.entry.Kind == audit.KindRollback {
			if err := <-copied; err != nil {
				r.Manager.host.Log.Warn("copy a release to where it is deployed", "process", p.process.Name, "error", err)
			}
			return nil
		}
		answer, err := r.Manager.question(ctx, p.process, release.Release{Record: release.Record{Verification: release.Verification{SHA256: p.to.SHA256}, Version: p.to.Version}, Name: p.process.Name, Path: p.to.Path})
		if failed := <-copied; failed != nil {
			return failed
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.process.Name, err)
		}
		p.to.Version = answer.Record.Version
		for n := range r.entry.Changes {
			if r.entry.Changes[n].Process == p.process.Name {
				r.entry.Changes[n].To = p.to.Release()
			}
		}
		r.tell(p.process.Name, "checked", "release "+p.to.String()+" is whole, is for this machine, and takes its configuration", began)
		return nil
	})
}

// plan has the gates say what they would do.
func (r *rollout) plan(programs map[*supervise.Process]supervise.Program) error {
	for _, gate := range r.Manager.gatesOfAll(programs) {
		args := gate.Spec().PlanArgs
		if len(args) == 0 {
			r.tell(gate.Name, "plan", "cannot say what it would do: the process file has no plan for it", time.Time{})
			continue
		}
		said, err := r.Manager.askGate(gate, args, programs)
		if err != nil {
			return fmt.Errorf("%s: %w", gate.Name, err)
		}
		for _, line := range said {
			r.tell(gate.Name, "plan", line, time.Time{})
		}
	}
	for _, level := range r.levels() {
		for _, p := range level {
			r.tell(p.process.Name, "plan", fmt.Sprintf("would run %s in place of %s, %d instances", p.to.Release(), p.from.Release(), p.process.Spec().Instances), time.Time{})
		}
	}
	return nil
}
