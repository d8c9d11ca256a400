package manager

import (
	"context"
	"time"

	"pgo/deploy/pgo/internal/keeper"
	"pgo/deploy/pgo/internal/state"
)

// aliveEvery is how often the keeper is told that the manager goes on.
const aliveEvery = keeper.MaxSilence / 8

// tellAlive tells the keeper that nothing hangs, until ctx ends. Where one of the locks that every command needs is never let
// go of, it tells nothing more, and the keeper starts the next manager.
func (m *Manager) tellAlive(ctx context.Context) {
	tick := time.NewTicker(aliveEvery)
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
