package servicetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"go.uber.org/zap"

	"pgo/pkg/event"
	"pgo/pkg/mq"
	"pgo/pkg/testing/testkit"
)

// Publish puts an event on the exchange as another service would, and returns it once the broker has it.
func (w *Env) Publish(t testing.TB, source, typ, subject string, sequence int64, data any) event.Event {
	t.Helper()
	e, err := event.New(t.Context(), source, typ, subject, sequence, data)
	if err != nil {
		t.Fatal(err)
	}
	w.Deliver(t, e)
	return e
}

// Deliver puts events on the exchange in their order, also events that come again or late.
func (w *Env) Deliver(t testing.TB, events ...event.Event) {
	t.Helper()
	batch := make([]mq.Publishing, len(events))
	for i, e := range events {
		body, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		batch[i] = mq.Publishing{RoutingKey: e.Type, MessageID: e.ID, Body: body}
	}
	conn := w.connect(t)
	if err := errors.Join(conn.Publish(t.Context(), batch)...); err != nil {
		t.Fatal(err)
	}
}

// DeadLetter puts an event among the dead letters of a queue, as a consumer does that has given it up for the reason.
func (w *Env) DeadLetter(t testing.TB, queue, reason string, e event.Event) {
	t.Helper()
	body, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	m := mq.Publishing{Exchange: mq.DeadExchange, RoutingKey: queue, Mandatory: true, MessageID: e.ID, Body: body, Headers: map[string]any{mq.HeaderReason: reason}}
	if err := errors.Join(w.connect(t).Publish(t.Context(), []mq.Publishing{m})...); err != nil {
		t.Fatal(err)
	}
}

// connect returns a connection that ends with the test. The first one serves all that follow.
func (w *Env) connect(t testing.TB) *mq.Conn {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn == nil {
		w.conn = mq.Connect(w.brokerConfig(), zap.NewNop())
		w.t.Cleanup(func() {
			if err := w.conn.Close(context.Background()); err != nil {
				w.t.Error(err)
			}
		})
	}
	testkit.Eventually(t, "connect to RabbitMQ", func() error { return w.conn.Check(t.Context()) })
	return w.conn
}

// Recorder records events as another service's consumer.
type Recorder struct {
	mu  sync.Mutex
	all []event.Event
}

// RecordEvents records the events of topics (all of them: "#") from now until the test ends.
func (w *Env) RecordEvents(t testing.TB, topics ...string) *Recorder {
	t.Helper()
	queue := fmt.Sprintf("test.recorder%d", w.recorders.Add(1))
	if err := mq.Declare(t.Context(), w.brokerConfig(), mq.Topology{Queues: []mq.Queue{{Name: queue, Bindings: topics}}}); err != nil {
		t.Fatal(err)
	}
	r, conn := &Recorder{}, w.connect(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- conn.Consume(ctx, mq.Consumer{Queue: queue, Handler: func(_ context.Context, d mq.Delivery) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.all = append(r.all, d.Event)
			return nil
		}})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

// All returns the recorded events in their order. An event that came twice is there twice.
func (r *Recorder) All() []event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// Await returns the first event for which wanted is true, once it has come.
func (r *Recorder) Await(t testing.TB, wanted func(event.Event) bool) event.Event {
	t.Helper()
	var found event.Event
	testkit.Eventually(t, "an event", func() error {
		all := r.All()
		i := slices.IndexFunc(all, wanted)
		if i < 0 {
			return fmt.Errorf("there are %v", EventTypes(all))
		}
		found = all[i]
		return nil
	})
	return found
}

// EventsAbout returns the events of a subject, each once, in the order in which they came, and how many came again.
func (r *Recorder) EventsAbout(subject string) (events []event.Event, again int) {
	for _, e := range r.All() {
		switch {
		case e.Subject != subject:
		case slices.ContainsFunc(events, func(have event.Event) bool { return have.ID == e.ID }):
			again++
		default:
			events = append(events, e)
		}
	}
	return events, again
}

// EventTypes returns the types of events.
func EventTypes(events []event.Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, e.Type)
	}
	return all
}
