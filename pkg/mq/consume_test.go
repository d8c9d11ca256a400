package mq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgo/pkg/event"
	"pgo/pkg/mq"
	"pgo/pkg/testing/testkit"
)

// What becomes of a message, by what its handler does.
func TestFailures(t *testing.T) {
	errMend, errHopeless := errors.New("try again"), errors.New("hopeless")
	for name, tc := range map[string]struct {
		body     []byte // nil: a sound event
		handler  func(d mq.Delivery) error
		attempts []int  // that the handler sees
		reason   string // of the dead letter; empty: it was handled
	}{
		"handled": {nil, func(mq.Delivery) error { return nil }, []int{1}, ""},
		"mended by the first retry": {nil, func(d mq.Delivery) error {
			if d.Attempt == 1 {
				return errMend
			}
			return nil
		}, []int{1, 2}, ""},
		"mended by the last retry": {nil, func(d mq.Delivery) error {
			if d.Attempt <= 2 {
				return errMend
			}
			return nil
		}, []int{1, 2, 3}, ""},
		"never mended": {nil, func(mq.Delivery) error { return errMend }, []int{1, 2, 3}, "try again"},
		"permanent":    {nil, func(mq.Delivery) error { return fmt.Errorf("grade: %w", mq.MarkPermanent(errHopeless)) }, []int{1}, "grade: hopeless"},
		"permanent later": {nil, func(d mq.Delivery) error {
			if d.Attempt == 2 {
				return mq.MarkPermanent(errHopeless)
			}
			return errMend
		}, []int{1, 2}, "hopeless"},
		"panic":        {nil, func(mq.Delivery) error { panic("nil map") }, []int{1, 2, 3}, "handler panicked: nil map"},
		"long reason":  {nil, func(mq.Delivery) error { return mq.MarkPermanent(errors.New(strings.Repeat("é", 5000))) }, []int{1}, strings.Repeat("é", 500)},
		"not JSON":     {[]byte("\xff\x00"), nil, nil, "not a JSON object"},
		"not an event": {[]byte(`{"id":1}`), nil, nil, "required attribute is missing: specversion"},
		"too large":    {[]byte(strings.Repeat("x", event.MaxSize+1)), nil, nil, "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker := testkit.NewBroker(t)
			cfg := config(broker)
			declare(t, cfg)
			c := connect(t, cfg)
			connected(t, c)
			e, message := user(t, "u1", 1)
			if tc.body != nil {
				message.Body = tc.body
			}
			var attempts []int // read after the consumer has stopped
			var calls atomic.Int32
			stop := consume(t, c, mq.Consumer{Queue: queue, Handler: func(_ context.Context, d mq.Delivery) error {
				defer calls.Add(1)
				attempts = append(attempts, d.Attempt)
				if d.Event.ID != e.ID || d.Queue != queue {
					t.Errorf("delivery is %+v", d)
				}
				return tc.handler(d)
			}})
			before := time.Now()
			publish(t, c, message)

			if tc.reason != "" {
				dead := take(t, channel(t, broker), queue+".dead")
				if string(dead.Body) != string(message.Body) || dead.MessageId != message.MessageID || dead.ContentType != event.ContentType {
					t.Errorf("the dead letter is not the message: id %s, type %s", dead.MessageId, dead.ContentType)
				}
				h := dead.Headers
				if reason, _ := h[mq.HeaderReason].(string); !strings.Contains(reason, tc.reason) || len(reason) > 1000 {
					t.Errorf("reason is %q, want %q", reason, tc.reason)
				}
				if want := int64(max(len(tc.attempts), 1)); h[mq.HeaderAttempt] != want {
					t.Errorf("attempt is %v, want %d", h[mq.HeaderAttempt], want)
				}
				if h[mq.HeaderExchange] != mq.EventsExchange || h[mq.HeaderRoutingKey] != "user.updated.v1" || h[mq.HeaderQueue] != queue {
					t.Errorf("where it came from is lost: %v", h)
				}
				first, err1 := time.Parse(time.RFC3339Nano, fmt.Sprint(h[mq.HeaderFirstFailed]))
				last, err2 := time.Parse(time.RFC3339Nano, fmt.Sprint(h[mq.HeaderLastFailed]))
				pauses := []time.Duration{0, 50 * time.Millisecond, 150 * time.Millisecond}[max(len(tc.attempts), 1)-1]
				if err1 != nil || err2 != nil || first.Before(before.Add(-time.Second)) || last.Sub(first) < pauses {
					t.Errorf("failed first at %v and last at %v, want %v between at least", first, last, pauses)
				}
			} else {
				testkit.Eventually(t, "handle it as often as expected", func() error {
					if n := calls.Load(); int(n) < len(tc.attempts) {
						return fmt.Errorf("%d times", n)
					}
					return nil
				})
			}
			stop()
			ch := channel(t, broker)
			for _, q := range []string{"pgo.retry.50ms", "pgo.retry.100ms", queue, queue + ".dead"} {
				if n := ready(t, ch, q); n != 0 {
					t.Errorf("%d messages are left in %s", n, q)
				}
			}
			if fmt.Sprint(attempts) != fmt.Sprint(tc.attempts) {
				t.Errorf("the handler saw attempts %v, want %v", attempts, tc.attempts)
			}
		})
	}
}

// A message that fails and fails again does not hold up the ones behind it, even with one worker.
func TestPoisonDoesNotBlock(t *testing.T) {
	broker := testkit.NewBroker(t)
	cfg := config(broker)
	cfg.RetryDelays = []time.Duration{time.Hour}
	declare(t, cfg)
	c := connect(t, cfg)
	connected(t, c)
	var got record
	consume(t, c, mq.Consumer{Queue: queue, Prefetch: 1, Handler: func(ctx context.Context, d mq.Delivery) error {
		if strings.HasPrefix(d.Event.Subject, "poison") {
			return errors.New("no")
		}
		return got.handle(ctx, d)
	}})
	var batch []mq.Publishing
	var ids []string
	for n := range int64(20) {
		_, poison := user(t, fmt.Sprintf("poison%d", n), 1)
		e, sound := user(t, "u1", n+1)
		batch, ids = append(batch, poison, sound), append(ids, e.ID)
	}
	publish(t, c, batch...)
	got.has(t, ids...)
}

// The consumer is stopped while it handles something.
func TestConsumeFinishesBeforeItStops(t *testing.T) {
	for name, tc := range map[string]struct {
		obeys, again bool // the handler obeys the end of its ctx and gives up; the event comes again
	}{
		"what is held is finished":      {obeys: false, again: false},
		"what takes too long goes back": {obeys: true, again: true},
	} {
		t.Run(name, func(t *testing.T) {
			broker := testkit.NewBroker(t)
			cfg := config(broker)
			declare(t, cfg)
			c := connect(t, cfg)
			connected(t, c)
			e, message := user(t, "u1", 1)
			publish(t, c, message)

			started, proceed := make(chan struct{}), make(chan struct{})
			ctx, cancel := context.WithCancel(context.Background())
			stopped := make(chan error, 1)
			go func() {
				k := mq.Consumer{Queue: queue, StopTimeout: 10 * time.Second}
				if tc.obeys {
					k.StopTimeout = 50 * time.Millisecond
				}
				k.Handler = func(ctx context.Context, _ mq.Delivery) error {
					close(started)
					if tc.obeys {
						<-ctx.Done()
						return ctx.Err()
					}
					<-proceed
					return ctx.Err() // nil: it outlives the consumer's ctx
				}
				stopped <- c.Consume(ctx, k)
			}()
			<-started
			cancel()
			_, late := user(t, "u1", 2)
			publish(t, c, late)
			close(proceed)
			if err := <-stopped; err != nil {
				t.Fatalf("Consume: %v", err)
			}

			var got record
			consume(t, c, mq.Consumer{Queue: queue, Handler: got.handle})
			got.has(t, late.MessageID)
			if tc.again {
				got.has(t, e.ID) // the broker may give it back after the later one
			}
			if again := got.count(e.ID) == 1; again != tc.again {
				t.Errorf("the event came again: %t, want %t", again, tc.again)
			}
			if tc.again && got.last.Attempt != 1 {
				t.Errorf("stopping counted as a failure: attempt %d", got.last.Attempt)
			}
		})
	}
}

// The connection is cut while a handler works: the event comes again, and its effect may happen twice but never less.
func TestConnectionIsCutWhileHandling(t *testing.T) {
	broker := testkit.NewBroker(t)
	cfg := config(broker)
	declare(t, cfg)
	link := testkit.NewLink(t, broker.Addr)
	cfg.Addr = link.Addr()
	c := connect(t, cfg)
	connected(t, c)
	var handled atomic.Int32
	started := make(chan int, 10)
	proceed := make(chan struct{})
	stop := consume(t, c, mq.Consumer{Queue: queue, Handler: func(_ context.Context, d mq.Delivery) error {
		started <- d.Attempt
		<-proceed
		handled.Add(1)
		return nil
	}})
	_, message := user(t, "u1", 1)
	publish(t, c, message)
	<-started
	link.Cut()
	link.Restore()
	close(proceed)
	if attempt := <-started; attempt != 1 {
		t.Errorf("a lost connection counted as a failure: attempt %d", attempt)
	}
	stop()
	if n := ready(t, channel(t, broker), queue); n != 0 {
		t.Errorf("%d messages are left", n)
	}
	if n := handled.Load(); n != 2 {
		t.Errorf("handled %d times, want 2", n)
	}
}

// A consumer that dies over a message again and again does not get it again without end.
func TestDeliveryLimit(t *testing.T) {
	broker := testkit.NewBroker(t)
	cfg := config(broker)
	declare(t, cfg)
	c := connect(t, cfg)
	connected(t, c)
	e, message := user(t, "u1", 1)
	publish(t, c, message)
	ch := channel(t, broker)
	deliveries, err := ch.Consume(queue, "crashing", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	times := make(chan int, 1)
	go func() {
		n := 0
		for d := range deliveries {
			n++
			_ = d.Nack(false, true)
			if n == mq.DeliveryLimit+1 {
				break
			}
		}
		times <- n
	}()
	dead := take(t, channel(t, broker), queue+".dead")
	if dead.MessageId != e.ID {
		t.Errorf("dead letter is %s, want %s", dead.MessageId, e.ID)
	}
	if n := <-times; n != mq.DeliveryLimit+1 {
		t.Errorf("delivered %d times, want %d", n, mq.DeliveryLimit+1)
	}
}

func TestConsumerNeedsQueueAndHandler(t *testing.T) {
	c := connect(t, mq.Config{Addr: "127.0.0.1:1"})
	for _, k := range []mq.Consumer{{}, {Queue: queue}, {Handler: new(record).handle}} {
		if err := c.Consume(context.Background(), k); err == nil {
			t.Errorf("%+v was accepted", k)
		}
	}
}
