package manager

import (
	"context"
	"fmt"
	"slices"

	"pgo/deploy/pgo/audit"
	"pgo/deploy/pgo/release"
)

// lastDeploy is the set of a rollback: the process named, else all of the last deploy that is what runs now, else the
// process that was deployed last.
func (m *Manager) lastDeploy(ctx context.Context, name, wanted string) ([]audit.Change, error) {
	if name == "" {
		all, err := m.home.Audit().All()
		if err != nil {
			return nil, err
		}
		for _, e := range all {
			if e.Kind == audit.Deploy && e.Result == audit.Done && len(e.Set) > 0 && m.runsAll(e.Set) {
				return back(e)
			}
		}
	}
	p, err := m.rolledBack(name)
	if err != nil {
		return nil, err
	}
	store := m.store(p.current())
	var to release.Release
	if wanted != "" {
		to, err = store.Find(p.name, wanted)
	} else {
		to, err = store.RollbackTarget(ctx, p.name)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: pgo releases shows what there is", err)
	}
	return []audit.Change{{Process: p.name, To: audit.Release{SHA256: to.SHA256}}}, nil
}

func (m *Manager) runsAll(set []audit.Change) bool {
	return !slices.ContainsFunc(set, func(c audit.Change) bool {
		p := m.process(c.Process)
		if p == nil {
			return true
		}
		now, err := p.program()
		return err != nil || now.sum != c.To.SHA256
	})
}

// back is the set that leads back to before a deploy.
func back(e audit.Entry) ([]audit.Change, error) {
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
