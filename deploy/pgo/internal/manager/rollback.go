package manager

import (
	"context"
	"errors"
	"fmt"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/supervise"
)

// Rollback has a process run another release: the one named, else the good one that was live before. Where no process
// is named it is the one that was deployed last. It returns when the release is live.
func (m *Manager) Rollback(ask control.RollbackRequest) error {
	if m.set.IsDown() {
		return supervise.ErrDown
	}
	p, err := m.rolledBack(ask.Name)
	if err != nil {
		return err
	}
	if !m.target(p).deploying.TryLock() {
		return fmt.Errorf("%s is just being deployed: try again when pgo list shows it ready", p.Name)
	}
	defer m.target(p).deploying.Unlock()
	ctx, store := context.Background(), m.host.Releases(p.Spec())
	now, _ := p.Program() // where there is none, any is better
	to, err := store.ResolveRollback(ctx, p.Name, ask.Release)
	if err == nil && ask.Release != "" { // without a name it was looked at
		err = store.VerifyContent(ctx, p.Name, to.Record.Verification.SHA256)
	}
	if err != nil {
		return fmt.Errorf("%w: pgo releases %s shows what there is", err, p.Name)
	}
	c := supervise.ProgramOf(to)
	if c.SHA256 == now.SHA256 {
		return fmt.Errorf("%s runs release %s already", p.Name, c)
	}
	if err := m.awaitGates(ctx, p, false); err != nil {
		return err
	}
	if err := m.pass(p, c); err != nil {
		return fmt.Errorf("%s stays at release %s: %w", p.Name, now, err)
	}
	if err := m.goLive(ctx, p, c, "runs, by command"); err != nil {
		return fmt.Errorf("%s stays at release %s: %w", p.Name, now, err)
	}
	// So the next rollback goes further back, and the file that is still deployed is not taken again.
	if left, err := store.Find(p.Name, now.SHA256); err == nil && left.Record.FailedAt == nil {
		if err := store.MarkFailed(ctx, p.Name, now.SHA256, byCommand); err != nil {
			return fmt.Errorf("release %s runs, but the one that it replaced could not be marked: %w", c, err)
		}
	}
	return nil
}

// CountRollback is the process that is meant.
func (m *Manager) rolledBack(name string) (*supervise.Process, error) {
	processes := m.set.ByName()
	if name != "" {
		chosen, err := m.set.Choose([]string{name})
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
		r, err := m.host.Releases(p.Spec()).Current(known)
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
