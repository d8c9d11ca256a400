package supervise

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/state"
)

// A process that ends while a reload of it is ending, again and again: both look at the process and at the state store.
func TestEndsWhileAReloadEnds(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	h := home.Home(t.TempDir())
	host := &Deps{Home: h, Log: log, Store: state.NewStore(log, state.NewHistory(h.EventsPath(), h.PreviousEventsPath(), log), func(string, []byte) {})}
	p := newProcess(host, nil, processfile.Process{Name: "p", Instances: 1}, nil)
	host.Store.Reset(p.initialRows())
	i := p.instances[0]
	over, cancel := context.WithCancel(t.Context())
	cancel() // no one waits for the next start
	const times = 5000
	rested, reloaded := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(rested)
		for range times {
			i.backOff(over, "exit code 1", time.Second)
		}
	}()
	go func() {
		defer close(reloaded)
		for range times {
			host.Store.Update(i.ID, func(r *state.Record) { r.Process.ReloadPending = true })
			p.BeginDeploy()
			p.EndDeploy()
		}
	}()
	for _, done := range []chan struct{}{rested, reloaded} {
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatal("they wait for each other")
		}
	}
}
