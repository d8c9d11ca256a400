package manager

import (
	"context"

	"pgo/deploy/pgo/internal/control"
)

// Deployables are the processes that can be deployed. It waits until no rollout is under way.
func (m *Manager) Deployables(ctx context.Context) ([]control.Deployable, error) {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	file := m.set.File()
	found := []control.Deployable{}
	for _, spec := range file.Processes {
		p := m.set.Lookup(spec.Name)
		if !spec.Watch.Enabled || p == nil {
			continue
		}
		d := control.Deployable{Name: spec.Name, File: spec.Command, Releases: []string{}, After: spec.After}
		all, err := m.host.Releases(spec).List(spec.Name)
		if err != nil {
			return nil, err
		}
		if now, err := p.Program(); err == nil {
			d.Current = now.Release()
			d.Releases = append(d.Releases, now.SHA256)
		}
		for _, r := range all {
			if r.Record.Verification.SHA256 != d.Current.SHA256 && !r.Missing && r.Damaged == "" {
				d.Releases = append(d.Releases, r.Record.Verification.SHA256)
			}
		}
		found = append(found, d)
	}
	return found, nil
}
