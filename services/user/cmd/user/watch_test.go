package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"go.uber.org/zap"

	"pgo/pkg/event"
	"pgo/pkg/mq"
)

// watcher is another service that takes every event.
type watcher struct {
	mu  sync.Mutex
	all []event.Event
}

func (w *world) brokerConfig() mq.Config {
	return mq.Config{Addr: w.broker.Addr, Vhost: w.broker.Vhost, Username: w.broker.Username, Password: w.broker.Password}
}

// watch takes all events from now until the test ends.
func (w *world) watch(t *testing.T) *watcher {
	t.Helper()
	const queue = "test.watcher"
	if err := mq.Declare(t.Context(), w.brokerConfig(), mq.Topology{Queues: []mq.Queue{{Name: queue, Bindings: []string{"#"}}}}); err != nil {
		t.Fatal(err)
	}
	conn := mq.Connect(w.brokerConfig(), zap.NewNop())
	ctx, cancel := context.WithCancel(context.Background())
	watcher, ended := &watcher{}, make(chan error, 1)
	go func() {
		ended <- conn.Consume(ctx, mq.Consumer{Queue: queue, Handler: func(_ context.Context, d mq.Delivery) error {
			watcher.mu.Lock()
			defer watcher.mu.Unlock()
			watcher.all = append(watcher.all, d.Event)
			return nil
		}})
	}()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, conn.Close(context.Background())); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return watcher
}

// about returns the events of a user, each once, in the order in which they came, and how many came again.
func (w *watcher) about(id string) (events []event.Event, again int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.all {
		switch {
		case e.Subject != id:
		case slices.ContainsFunc(events, func(have event.Event) bool { return have.ID == e.ID }):
			again++
		default:
			events = append(events, e)
		}
	}
	return events, again
}

func types(events []event.Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, e.Type)
	}
	return all
}
