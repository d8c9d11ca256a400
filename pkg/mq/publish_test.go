package mq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/trace"

	"pgo/pkg/mq"
	"pgo/pkg/testing/testkit"
)

// Each message of a batch has its own result.
func TestPublishResults(t *testing.T) {
	broker := testkit.NewBroker(t)
	cfg := config(broker)
	declare(t, cfg)
	ch := channel(t, broker)
	if _, err := ch.QueueDeclare("full", true, false, false, false, amqp.Table{
		"x-queue-type": "classic", "x-max-length": int64(1), "x-overflow": "reject-publish",
	}); err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind("full", "full", mq.EventsExchange, false, nil); err != nil {
		t.Fatal(err)
	}
	c := connect(t, cfg)
	connected(t, c)

	for name, tc := range map[string]struct {
		batch []mq.Publishing
		want  []error
	}{
		"an event without consumers": {
			[]mq.Publishing{{RoutingKey: "nobody.cares.v1"}, {RoutingKey: "user.updated.v1"}},
			[]error{nil, nil},
		},
		"nothing may vanish": {
			[]mq.Publishing{
				{Exchange: mq.DeadExchange, RoutingKey: queue, MessageID: "1", Mandatory: true},
				{Exchange: mq.DeadExchange, RoutingKey: "nowhere", MessageID: "2", Mandatory: true},
				{Exchange: mq.DeadExchange, RoutingKey: queue, MessageID: "3", Mandatory: true},
			},
			[]error{nil, mq.ErrUnroutable, nil},
		},
		"a queue is full": {
			[]mq.Publishing{{RoutingKey: "full"}, {RoutingKey: "user.updated.v1"}, {RoutingKey: "full"}, {RoutingKey: "user.updated.v1"}},
			[]error{nil, nil, mq.ErrNacked, nil},
		},
		"what AMQP cannot express": {
			[]mq.Publishing{
				{RoutingKey: strings.Repeat("k", 256)},
				{RoutingKey: "user.updated.v1"},
				{RoutingKey: "user.updated.v1", Headers: map[string]any{"h": struct{}{}}},
				{RoutingKey: "user.updated.v1", Headers: map[string]any{strings.Repeat("h", 256): 1}},
				{RoutingKey: "user.updated.v1", MessageID: strings.Repeat("i", 256)},
			},
			[]error{mq.ErrInvalid, nil, mq.ErrInvalid, mq.ErrInvalid, mq.ErrInvalid},
		},
		"no such exchange": {
			[]mq.Publishing{{Exchange: "pgo.retry.never", RoutingKey: queue}},
			[]error{mq.ErrUnconfirmed},
		},
		"nothing": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.Publish(context.Background(), tc.batch)
			if len(got) != len(tc.want) {
				t.Fatalf("%d results, want %d", len(got), len(tc.want))
			}
			for i, want := range tc.want {
				if !errors.Is(got[i], want) {
					t.Errorf("message %d: %v, want %v", i, got[i], want)
				}
			}
		})
	}
	if err := c.Publish(context.Background(), []mq.Publishing{{Exchange: "pgo.retry.never"}})[0]; err == nil || !strings.Contains(err.Error(), "pgo.retry.never") {
		t.Errorf("the error must carry what the broker said: %v", err)
	}
}

func TestPublishManyAtOnce(t *testing.T) {
	broker := testkit.NewBroker(t)
	cfg := config(broker)
	declare(t, cfg)
	c := connect(t, cfg)
	connected(t, c)
	var wg sync.WaitGroup
	for p := range 8 {
		wg.Go(func() {
			batch := make([]mq.Publishing, 600) // more than one chunk
			for i := range batch {
				batch[i] = mq.Publishing{Exchange: mq.DeadExchange, RoutingKey: queue, MessageID: fmt.Sprintf("%d-%d", p, i), Mandatory: true}
				if i%3 == 0 {
					batch[i].RoutingKey = "nowhere"
				}
			}
			for i, err := range c.Publish(context.Background(), batch) {
				if i%3 == 0 && !errors.Is(err, mq.ErrUnroutable) || i%3 != 0 && err != nil {
					t.Errorf("message %d of publisher %d: %v", i, p, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// Publish gives up in time when the network swallows everything, and the late confirmations confuse no other batch.
func TestPublishOnAStalledNetwork(t *testing.T) {
	broker := testkit.NewBroker(t)
	cfg := config(broker)
	declare(t, cfg)
	link := testkit.NewLink(t, broker.Addr)
	cfg.Addr = link.Addr()
	cfg.PublishTimeout = 300 * time.Millisecond
	c := connect(t, cfg)
	connected(t, c)
	_, message := user(t, "u1", 1)
	// The short time counts already, so a busy machine may need more than one try.
	testkit.Eventually(t, "publish", func() error { return c.Publish(context.Background(), []mq.Publishing{message})[0] })

	link.SetLatency(20 * time.Second)
	start := time.Now()
	err := c.Publish(context.Background(), []mq.Publishing{message})[0]
	if took := time.Since(start); !errors.Is(err, mq.ErrUnconfirmed) || took > 10*time.Second {
		t.Errorf("Publish returned %v after %v, want ErrUnconfirmed in time", err, took)
	}
	link.SetLatency(0)
	unroutable := mq.Publishing{Exchange: mq.DeadExchange, RoutingKey: "nowhere", Mandatory: true}
	testkit.Eventually(t, "publish again", func() error {
		errs := c.Publish(context.Background(), []mq.Publishing{message, unroutable})
		if errors.Is(errs[1], mq.ErrUnconfirmed) { // the time was over between the two
			return errs[1]
		}
		if errs[0] == nil && !errors.Is(errs[1], mq.ErrUnroutable) {
			t.Fatalf("results %v: a late confirmation was taken for another message", errs)
		}
		return errs[0]
	})
}

// The connection is cut again and again while events go out; whoever repeats what failed loses none.
func TestPublishWhileTheConnectionIsCut(t *testing.T) {
	broker := testkit.NewBroker(t)
	cfg := config(broker)
	declare(t, cfg)
	direct := connect(t, cfg)
	var got record
	consume(t, direct, mq.Consumer{Queue: queue, Handler: got.handle})

	link := testkit.NewLink(t, broker.Addr)
	cfg.Addr = link.Addr()
	c := connect(t, cfg)
	connected(t, c)

	const cuts = 8
	published, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for range cuts {
			<-published
			link.Cut() // into the batch that goes out now
			link.Restore()
		}
	}()
	var ids []string
	for n, going := int64(1), true; going; n++ {
		select {
		case <-done:
			going = false
		default:
		}
		var batch []mq.Publishing
		for m := range 25 {
			e, message := user(t, fmt.Sprintf("u%d", m), n)
			ids = append(ids, e.ID)
			batch = append(batch, message)
		}
		testkit.Eventually(t, "publish a batch", func() error {
			var left []mq.Publishing
			errs := c.Publish(context.Background(), batch)
			for i, err := range errs {
				if err != nil {
					left = append(left, batch[i])
				}
			}
			batch = left
			return errors.Join(errs...)
		})
		select {
		case published <- struct{}{}:
		case <-done:
		}
	}
	got.has(t, ids...)
}

func TestPublishWhileTheBrokerBlocks(t *testing.T) {
	broker := testkit.NewBroker(t)
	cfg := config(broker)
	declare(t, cfg)
	proxy := newInjector(t, broker.Addr)
	cfg.Addr = proxy.addr
	c := connect(t, cfg)
	connected(t, c)
	e, message := user(t, "u1", 1)

	proxy.inject(connectionBlocked("low on memory"))
	testkit.Eventually(t, "see the connection blocked", func() error {
		if err := c.Check(context.Background()); !errors.Is(err, mq.ErrBlocked) || !strings.Contains(err.Error(), "low on memory") {
			return fmt.Errorf("Check is %w, want ErrBlocked with the reason", err)
		}
		return nil
	})
	if err := c.Publish(context.Background(), []mq.Publishing{message})[0]; !errors.Is(err, mq.ErrBlocked) {
		t.Errorf("Publish is %v, want ErrBlocked", err)
	}

	proxy.inject(connectionUnblocked())
	connected(t, c)
	publish(t, c, message)
	if d := take(t, channel(t, broker), queue); d.MessageId != e.ID || d.DeliveryMode != amqp.Persistent {
		t.Errorf("got message %s with delivery mode %d, want %s, persistent", d.MessageId, d.DeliveryMode, e.ID)
	}
}

func TestTraceContextIsPublished(t *testing.T) {
	broker := testkit.NewBroker(t)
	cfg := config(broker)
	declare(t, cfg)
	c := connect(t, cfg)
	connected(t, c)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{7}, SpanID: trace.SpanID{8}, TraceFlags: trace.FlagsSampled})
	_, message := user(t, "u1", 1)
	if err := c.Publish(trace.ContextWithSpanContext(context.Background(), span), []mq.Publishing{message})[0]; err != nil {
		t.Fatal(err)
	}
	seen := make(chan trace.SpanContext, 1)
	consume(t, c, mq.Consumer{Queue: queue, Handler: func(ctx context.Context, _ mq.Delivery) error {
		seen <- trace.SpanContextFromContext(ctx)
		return nil
	}})
	select {
	case got := <-seen:
		if got.TraceID() != span.TraceID() || !got.IsRemote() {
			t.Errorf("the handler's trace is %s, want %s", got.TraceID(), span.TraceID())
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the event did not come")
	}
}
