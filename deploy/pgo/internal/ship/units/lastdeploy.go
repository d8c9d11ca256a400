package units

import (
	"context"
	"fmt"
	"slices"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/release"
)

// lastDeploy is the set of a rollback: the process named, else all of the last deploy that is what runs now.
func (r *rollout) lastDeploy(ctx context.Context) ([]audit.Change, error) {
	if name := r.ask.Process; name != "" {
		to, err := r.Host.Store().ResolveRollback(ctx, name, r.ask.Release)
		if err != nil {
			return nil, fmt.Errorf("%w: pgo releases shows what there is", err)
		}
		return []audit.Change{{Process: name, To: audit.Release{SHA256: to.Record.Verification.SHA256}}}, nil
	}
	all, err := r.Host.ListDeployables(ctx)
	if err != nil {
		return nil, err
	}
	set, err := r.Host.Home.AuditLog().PlanUndo(func(c audit.Change) bool {
		return slices.ContainsFunc(all, func(d control.Deployable) bool { return d.Name == c.Process && d.Current.SHA256 == c.To.SHA256 })
	})
	if set == nil && err == nil {
		err = fmt.Errorf("no deploy is what runs now: %w: name a service", release.ErrNoRollbackTarget)
	}
	return set, err
}
