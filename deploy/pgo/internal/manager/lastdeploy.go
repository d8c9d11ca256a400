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
		if set, err := m.host.home.AuditLog().PlanUndo(m.runsNow); set != nil || err != nil {
			return set, err
		}
	}
	p, err := m.rolledBack(name)
	if err != nil {
		return nil, err
	}
	to, err := m.host.store(p.current()).ResolveRollback(ctx, p.name, wanted)
	if err != nil {
		return nil, fmt.Errorf("%w: pgo releases shows what there is", err)
	}
	return []audit.Change{{Process: p.name, To: audit.Release{SHA256: to.Record.Verification.SHA256}}}, nil
}

// runsNow reports whether what a change has led to is what runs.
func (m *Manager) runsNow(c audit.Change) bool {
	p := m.process(c.Process)
	if p == nil {
		return false
	}
	now, err := p.program()
	return err == nil && now.sum == c.To.SHA256
}
