package manager

import (
	"context"
	"time"

	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/state"
)

// aliveInterval is the time between two reports to the keeper that the manager goes on.
const aliveInterval = keeper.MaxSilence / 8

// reportAlive reports to the keeper that nothing hangs, until ctx ends. If one of the locks that every command needs is
// never released, it reports nothing more, and the keeper starts the next manager.
func (m *Manager) reportAlive(ctx context.Context) {
	tick := time.NewTicker(aliveInterval)
	defer tick.Stop()
	for {
		for _, p := range m.set.ByName() {
			p.Spec()
		}
		m.deps.Store.Get(state.InstanceID{})
		m.deps.Link.ReportAlive()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
