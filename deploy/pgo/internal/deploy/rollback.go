package deploy

import (
	"context"
	"errors"
	"fmt"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/rollout"
	"pgo/deploy/pgo/internal/supervise"
)

// RollBack makes a process run another release: the one named, else the good one that was current before. If no process
// is named it is the one that was deployed last. It returns when the release is current.
func (d *Deployer) RollBack(request control.RollbackRequest) error {
	if d.set.IsDown() {
		return supervise.ErrDown
	}
	p, err := d.findRolledBack(request.Name)
	if err != nil {
		return err
	}
	t := d.target(p)
	if !t.tryLock() {
		return fmt.Errorf("%s is just being deployed: try again when pgo list shows it ready", p.Name)
	}
	defer t.unlock()
	ctx, store := t.ctx, t.store()
	current, _ := p.Program() // if there is none, any release is better
	r, err := store.ResolveRollback(ctx, p.Name, request.Release)
	if err == nil && request.Release != "" { // else it was verified
		err = store.VerifyContent(ctx, p.Name, r.Record.Verification.SHA256)
	}
	if err != nil {
		return fmt.Errorf("%w: pgo releases %s shows what there is", err, p.Name)
	}
	to := supervise.ProgramOf(r)
	if to.SHA256 == current.SHA256 {
		return fmt.Errorf("%s runs release %s already", p.Name, to)
	}
	if err := d.awaitGates(ctx, p, false); err != nil {
		return err
	}
	if err := d.askGates(ctx, programs{p: to}); err != nil {
		return fmt.Errorf("%s stays at release %s: %w", p.Name, current, err)
	}
	if err := t.activateRelease(ctx, to, "runs, by command"); err != nil {
		return fmt.Errorf("%s stays at release %s: %w", p.Name, current, err)
	}
	// So the next rollback goes further back, and the file that is still deployed is not accepted again.
	if left, err := store.Find(p.Name, current.SHA256); err == nil && left.Record.FailedAt == nil {
		if err := store.MarkFailed(ctx, p.Name, current.SHA256, rollout.RolledBackByCommand); err != nil {
			return fmt.Errorf("release %s runs, but the one that it replaced could not be marked: %w", to, err)
		}
	}
	return nil
}

// findRolledBack returns the process to roll back: the one named, else the one that was deployed last.
func (d *Deployer) findRolledBack(name string) (*supervise.Process, error) {
	processes := d.set.ByName()
	if name != "" {
		chosen, err := d.set.Choose([]string{name})
		if err != nil {
			return nil, err
		}
		if len(chosen) != 1 {
			return nil, fmt.Errorf("%s is %d processes: name one", name, len(chosen))
		}
		processes = chosen
	}
	var found *supervise.Process
	var last release.Release
	for _, known := range supervise.SortedNames(processes) {
		p := processes[known]
		if !p.Spec().Watch.Enabled {
			if name != "" {
				return nil, fmt.Errorf("%s has no releases: it is not watched", known)
			}
			continue
		}
		r, err := d.deps.Releases(p.Spec()).Current(known)
		if err != nil && !errors.Is(err, release.ErrNoCurrent) {
			return nil, err
		}
		if found == nil || r.Record.CurrentAt != nil && (last.Record.CurrentAt == nil || r.Record.CurrentAt.After(*last.Record.CurrentAt)) {
			found, last = p, r
		}
	}
	if found == nil {
		return nil, errors.New("no process has releases: none is watched")
	}
	return found, nil
}

// findRollbackSet returns the changes of a rollback: of the process named, else of the last deploy that is what runs now,
// else of the process that was deployed last.
func (d *Deployer) findRollbackSet(ctx context.Context, process, wanted string) ([]audit.Change, error) {
	if process == "" {
		if set, err := d.deps.Home.AuditLog().PlanUndo(d.isCurrent); set != nil || err != nil {
			return set, err
		}
	}
	p, err := d.findRolledBack(process)
	if err != nil {
		return nil, err
	}
	to, err := d.deps.Releases(p.Spec()).ResolveRollback(ctx, p.Name, wanted)
	if err != nil {
		return nil, fmt.Errorf("%w: pgo releases shows what there is", err)
	}
	return []audit.Change{{Process: p.Name, To: audit.Release{SHA256: to.Record.Verification.SHA256}}}, nil
}

// isCurrent reports whether the release that a change has led to is what runs.
func (d *Deployer) isCurrent(c audit.Change) bool {
	p := d.set.Lookup(c.Process)
	if p == nil {
		return false
	}
	current, err := p.Program()
	return err == nil && current.SHA256 == c.To.SHA256
}

// ListDeployables returns the processes that can be deployed. It waits until no rollout is under way.
func (d *Deployer) ListDeployables(ctx context.Context) ([]control.Deployable, error) {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-d.set.Context().Done():
		return nil, supervise.ErrDown
	}
	found := []control.Deployable{}
	for _, spec := range d.set.File().Processes {
		p := d.set.Lookup(spec.Name)
		if !spec.Watch.Enabled || p == nil {
			continue
		}
		of := control.Deployable{Name: spec.Name, File: spec.Command, Releases: []string{}, After: spec.After}
		all, err := d.deps.Releases(spec).List(spec.Name)
		if err != nil {
			return nil, err
		}
		if current, err := p.Program(); err == nil {
			of.Current = current.Release()
			of.Releases = append(of.Releases, current.SHA256)
		}
		for _, r := range all {
			if r.Record.Verification.SHA256 != of.Current.SHA256 && !r.Missing && r.Damaged == "" {
				of.Releases = append(of.Releases, r.Record.Verification.SHA256)
			}
		}
		found = append(found, of)
	}
	return found, nil
}
