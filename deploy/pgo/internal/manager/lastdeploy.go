package manager

import (
	"context"
	"fmt"

	"pgo/deploy/pgo/internal/audit"
)

// lastDeploy is the set of a rollback: the process named, else all of the last deploy that is what runs now, else the
// process that was deployed last.
func (m *Manager) lastDeploy(ctx context.Context, name, wanted string) ([]audit.Change, error) {
	if name == "" {
		if set, err := m.host.Home.AuditLog().PlanUndo(m.runsNow); set != nil || err != nil {
			return set, err
		}
	}
	p, err := m.rolledBack(name)
	if err != nil {
		return nil, err
	}
	to, err := m.host.Releases(p.Spec()).ResolveRollback(ctx, p.Name, wanted)
	if err != nil {
		return nil, fmt.Errorf("%w: pgo releases shows what there is", err)
	}
	return []audit.Change{{Process: p.Name, To: audit.Release{SHA256: to.Record.Verification.SHA256}}}, nil
}

// runsNow reports whether what a change has led to is what runs.
func (m *Manager) runsNow(c audit.Change) bool {
	p := m.set.Lookup(c.Process)
	if p == nil {
		return false
	}
	now, err := p.Program()
	return err == nil && now.SHA256 == c.To.SHA256
}
