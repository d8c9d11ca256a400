package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"pgo/pkg/event"
	"pgo/pkg/mq"
	"pgo/pkg/outbox"
	"pgo/pkg/testing/testkit"
)

const queue = "school.users"

func logger(t *testing.T) *zap.Logger { return zaptest.NewLogger(t, zaptest.Level(zap.InfoLevel)) }

func database(t *testing.T) *sql.DB {
	t.Helper()
	db := testkit.NewDatabase(t).Open(t)
	if _, err := db.Exec(outbox.Schema); err != nil {
		t.Fatal(err)
	}
	return db
}

func options() outbox.Options {
	return outbox.Options{PollInterval: 50 * time.Millisecond, MinBackoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond}
}

func config(b testkit.Broker) mq.Config {
	return mq.Config{
		Addr: b.Addr, Vhost: b.Vhost, Username: b.Username, Password: b.Password, Name: "test",
		MinBackoff: 20 * time.Millisecond, MaxBackoff: 200 * time.Millisecond,
	}
}

func connect(t *testing.T, cfg mq.Config) *mq.Conn {
	t.Helper()
	c := mq.Connect(cfg, logger(t))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// run runs a relay until the returned function or the end of the test stops it.
func run(t *testing.T, db *sql.DB, pub outbox.Publisher, opts outbox.Options) (r *outbox.Relay, stop func()) {
	t.Helper()
	r, err := outbox.NewRelay(db, pub, logger(t), prometheus.NewRegistry(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return r, stop
}

// add appends the next event of a subject in tx.
func add(t *testing.T, tx outbox.Execer, subject string, sequence int64) event.Event {
	t.Helper()
	e, err := event.New(context.Background(), "user", "user.updated.v1", subject, sequence, map[string]any{"id": subject, "name": "Zoë 👩‍🏫"})
	if err != nil {
		t.Fatal(err)
	}
	if err := outbox.Append(context.Background(), tx, e); err != nil {
		t.Fatal(err)
	}
	return e
}

// publisher remembers what was published and fails where a test sets it.
type publisher struct {
	to   outbox.Publisher        // nil: everything succeeds
	fail func(event.Event) error // before it is sent; may be nil
	then func()                  // after a batch was sent; may be nil

	mu    sync.Mutex
	calls int
	sent  []event.Event // those that succeeded, in their order
}

func (p *publisher) Publish(ctx context.Context, batch []mq.Publishing) []error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	errs := make([]error, len(batch))
	for i, m := range batch {
		e, err := event.Parse(m.Body)
		if err != nil || m.RoutingKey != e.Type || m.MessageID != e.ID || m.Exchange != "" {
			errs[i] = fmt.Errorf("message %s with key %s: %w", m.MessageID, m.RoutingKey, err)
			continue
		}
		if p.fail != nil {
			errs[i] = p.fail(e)
		}
		if errs[i] == nil && p.to != nil {
			errs[i] = p.to.Publish(ctx, []mq.Publishing{m})[0]
		}
		if errs[i] == nil {
			p.sent = append(p.sent, e)
		}
	}
	if p.then != nil {
		p.then()
	}
	return errs
}

func (p *publisher) events() []event.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]event.Event(nil), p.sent...)
}

func (p *publisher) times(id string) int {
	n := 0
	for _, e := range p.events() {
		if e.ID == id {
			n++
		}
	}
	return n
}

// drained waits until no event is pending.
func drained(t *testing.T, db *sql.DB) {
	t.Helper()
	testkit.Eventually(t, "see the outbox empty", func() error {
		var n int
		if err := db.QueryRow(`SELECT COUNT(*) FROM pgo_outbox WHERE published_at IS NULL`).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%d events are pending", n)
		}
		return nil
	})
}
