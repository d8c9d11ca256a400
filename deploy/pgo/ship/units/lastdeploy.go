package units

import (
	"context"
	"fmt"
	"slices"

	"pgo/deploy/pgo/audit"
	"pgo/deploy/pgo/control"
	"pgo/deploy/pgo/release"
)

// lastDeploy is the set of a rollback: the process named, else all of the last deploy that is what runs now.
func (r *rollout) lastDeploy(ctx context.Context) ([]audit.Change, error) {
	all, err := r.Deployables(ctx)
	if err != nil {
		return nil, err
	}
	if name := r.ask.Process; name != "" {
		var to release.Release
		if r.ask.Release != "" {
			to, err = r.store().Find(name, r.ask.Release)
		} else {
			to, err = r.store().RollbackTarget(ctx, name)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: pgo releases shows what there is", err)
		}
		return []audit.Change{{Process: name, To: audit.Release{SHA256: to.SHA256}}}, nil
	}
	entries, err := r.Home.Audit().All()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Kind != audit.Deploy || e.Result != audit.Done || len(e.Set) == 0 || slices.ContainsFunc(e.Set, func(c audit.Change) bool {
			return !slices.ContainsFunc(all, func(d control.Deployable) bool { return d.Name == c.Process && d.Live.SHA256 == c.To.SHA256 })
		}) {
			continue
		}
		var set []audit.Change
		for _, c := range e.Set {
			if c.From.SHA256 == "" {
				return nil, fmt.Errorf("%s ran nothing before: there is %w", c.Process, release.ErrNoTarget)
			}
			if c.From.SHA256 != c.To.SHA256 {
				set = append(set, audit.Change{Process: c.Process, To: c.From})
			}
		}
		return set, nil
	}
	return nil, fmt.Errorf("no deploy is what runs now: %w: name a service", release.ErrNoTarget)
}
