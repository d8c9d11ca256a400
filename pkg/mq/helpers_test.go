package mq_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"pgo/pkg/event"
	"pgo/pkg/mq"
	"pgo/pkg/testing/testkit"
)

const queue = "school.users"

func config(b testkit.Broker) mq.Config {
	return mq.Config{
		Addr: b.Addr, Vhost: b.Vhost, Username: b.Username, Password: b.Password, Name: "test-" + b.Vhost,
		RetryDelays: []time.Duration{50 * time.Millisecond, 100 * time.Millisecond},
		MinBackoff:  20 * time.Millisecond, MaxBackoff: 200 * time.Millisecond,
		PublishTimeout: 30 * time.Second, // a busy machine must not look like an unavailable broker
	}
}

// logger shows the log of a test that failed. The broker's goroutines may log until Close, which is before the test's end.
func logger(t *testing.T) *zap.Logger { return zaptest.NewLogger(t, zaptest.Level(zap.InfoLevel)) }

func connect(t *testing.T, cfg mq.Config) *mq.Conn {
	t.Helper()
	return connectLogging(t, cfg, logger(t))
}

func connectLogging(t *testing.T, cfg mq.Config, log *zap.Logger) *mq.Conn {
	t.Helper()
	c := mq.Connect(cfg, log)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

func connected(t *testing.T, c *mq.Conn) {
	t.Helper()
	testkit.Eventually(t, "connect to RabbitMQ", func() error { return c.Check(context.Background()) })
}

// declare makes the topology with one queue that takes user events.
func declare(t *testing.T, cfg mq.Config) {
	t.Helper()
	topology := mq.Topology{Queues: []mq.Queue{{Name: queue, Bindings: []string{"user.*.v1"}}}}
	if err := mq.Declare(context.Background(), cfg, topology); err != nil {
		t.Fatal(err)
	}
}

// consume runs a consumer until the returned function or the end of the test stops it.
func consume(t *testing.T, c *mq.Conn, k mq.Consumer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Consume(ctx, k); err != nil {
			t.Errorf("consume: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

// user makes an event and the message for it.
func user(t *testing.T, subject string, sequence int64) (event.Event, mq.Publishing) {
	t.Helper()
	e, err := event.New(context.Background(), "user", "user.updated.v1", subject, sequence, map[string]string{"id": subject})
	if err != nil {
		t.Fatal(err)
	}
	body, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return e, mq.Publishing{RoutingKey: e.Type, MessageID: e.ID, Body: body}
}

// publish sends messages, each of which the broker must take.
func publish(t *testing.T, c *mq.Conn, batch ...mq.Publishing) {
	t.Helper()
	for i, err := range c.Publish(context.Background(), batch) {
		if err != nil {
			t.Fatalf("publish message %d: %v", i, err)
		}
	}
}

// record counts what a handler has seen.
type record struct {
	mu   sync.Mutex
	seen map[string]int // by event ID
	last mq.Delivery
}

func (r *record) handle(_ context.Context, d mq.Delivery) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[string]int{}
	}
	r.seen[d.Event.ID]++
	r.last = d
	return nil
}

func (r *record) count(id string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[id]
}

// has waits until the handler has seen these events.
func (r *record) has(t *testing.T, ids ...string) {
	t.Helper()
	testkit.Eventually(t, "handle events", func() error {
		missing := 0
		for _, id := range ids {
			if r.count(id) == 0 {
				missing++
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d of %d events were not handled", missing, len(ids))
		}
		return nil
	})
}

// channel is a plain way to the broker, beside what is tested.
func channel(t *testing.T, b testkit.Broker) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(b.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// take waits for a message of a queue and removes it.
func take(t *testing.T, ch *amqp.Channel, queue string) amqp.Delivery {
	t.Helper()
	var d amqp.Delivery
	testkit.Eventually(t, "get a message of "+queue, func() error {
		var ok bool
		var err error
		if d, ok, err = ch.Get(queue, true); err == nil && !ok {
			err = fmt.Errorf("the queue is empty")
		}
		return err
	})
	return d
}

// ready returns how many messages wait in a queue, without those that a consumer holds.
func ready(t *testing.T, ch *amqp.Channel, queue string) int {
	t.Helper()
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q.Messages
}

// hangUp makes the broker close the connections whose name ends with suffix, once there are any.
func hangUp(t *testing.T, b testkit.Broker, suffix string) {
	t.Helper()
	testkit.Eventually(t, "close the connection over the management API", func() error {
		var conns []struct {
			Name       string `json:"name"`
			Properties struct {
				Name string `json:"connection_name"`
			} `json:"client_properties"`
		}
		if err := b.Manage("GET", "/api/vhosts/"+b.Vhost+"/connections", nil, &conns); err != nil {
			return err
		}
		closed := 0
		for _, c := range conns {
			if strings.HasSuffix(c.Properties.Name, suffix) {
				if err := b.Manage("DELETE", "/api/connections/"+url.PathEscape(c.Name), nil, nil); err != nil {
					return err
				}
				closed++
			}
		}
		if closed == 0 {
			return fmt.Errorf("the broker shows no connection %q among %d", suffix, len(conns))
		}
		return nil
	})
}
