package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgo/pkg/event"
	"pgo/pkg/mq"
	"pgo/pkg/outbox"
	"pgo/pkg/testing/testkit"
)

func TestAppendBelongsToTheTransaction(t *testing.T) {
	db := database(t)
	var pub publisher
	run(t, db, &pub, options())

	rolledBack, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	add(t, rolledBack, "u1", 1)
	// This one has a higher id than the next and is committed first.
	early, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	low := add(t, early, "u2", 1)
	high := add(t, db, "u3", 1)
	testkit.Eventually(t, "publish what is committed", func() error {
		if n := pub.times(high.ID); n != 1 {
			return fmt.Errorf("published %d times", n)
		}
		return nil
	})
	if pub.times(low.ID) != 0 {
		t.Fatal("an event was published before its transaction was committed")
	}
	if err := rolledBack.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := early.Commit(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "publish what was committed late", func() error {
		if n := pub.times(low.ID); n != 1 {
			return fmt.Errorf("published %d times", n)
		}
		return nil
	})
	drained(t, db)
	if sent := pub.events(); len(sent) != 2 {
		t.Errorf("published %d events, want 2", len(sent))
	}
}

func TestAppendRejectsInvalidEvents(t *testing.T) {
	db := database(t)
	if err := outbox.Append(context.Background(), db, event.Event{ID: "1"}); !errors.Is(err, event.ErrMissing) {
		t.Errorf("error is %v, want event.ErrMissing", err)
	}
	e := add(t, db, "u1", 1)
	if err := outbox.Append(context.Background(), db, e); err == nil {
		t.Error("the same event was appended twice")
	}
}

func TestNotifyWakes(t *testing.T) {
	db := database(t)
	var pub publisher
	opts := options()
	opts.PollInterval = time.Hour
	r, _ := run(t, db, &pub, opts)
	for n := range int64(3) {
		e := add(t, db, "u1", n+1)
		r.Notify()
		r.Notify()
		testkit.Eventually(t, "publish without waiting for the poll", func() error {
			if pub.times(e.ID) == 0 {
				return errors.New("not published")
			}
			return nil
		})
	}
}

// One event of one subject cannot be published for a while: the later ones of that subject wait for it, the others do not.
func TestOrderOfASubject(t *testing.T) {
	db := database(t)
	errBroken := errors.New("broken")
	blocked := make(chan struct{})
	pub := &publisher{fail: func(e event.Event) error {
		select {
		case <-blocked:
			return nil
		default:
		}
		if e.Subject == "stuck" && e.Sequence == 3 {
			return errBroken
		}
		return nil
	}}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for n := range int64(10) {
		for _, subject := range []string{"a", "stuck", "b"} {
			add(t, tx, subject, n+1)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	opts := options()
	opts.BatchSize = 7
	run(t, db, pub, opts)

	testkit.Eventually(t, "publish the other subjects", func() error {
		if n := len(pub.events()); n != 22 {
			return fmt.Errorf("%d events, want 22", n)
		}
		return nil
	})
	close(blocked)
	drained(t, db)
	next := map[string]int64{}
	for _, e := range pub.events() {
		next[e.Subject]++
		if e.Sequence != next[e.Subject] {
			t.Fatalf("subject %s: event %d was published as number %d", e.Subject, e.Sequence, next[e.Subject])
		}
	}
	if len(pub.events()) != 30 {
		t.Errorf("%d events were published, want each of 30 once", len(pub.events()))
	}
}

// The connection to the broker is cut again and again: every event arrives, and each subject's first arrivals are in order.
func TestBrokerIsCut(t *testing.T) {
	db := database(t)
	broker := testkit.NewBroker(t)
	cfg := config(broker)
	if err := mq.Declare(context.Background(), cfg, mq.Topology{Queues: []mq.Queue{{Name: queue, Bindings: []string{"user.#"}}}}); err != nil {
		t.Fatal(err)
	}
	arrived := make(chan event.Event, 100_000)
	ctx, cancel := context.WithCancel(context.Background())
	consumer := connect(t, cfg)
	done := make(chan error, 1)
	go func() {
		done <- consumer.Consume(ctx, mq.Consumer{Queue: queue, Prefetch: 500, Handler: func(_ context.Context, d mq.Delivery) error {
			arrived <- d.Event
			return nil
		}})
	}()

	link := testkit.NewLink(t, broker.Addr)
	link.Cut() // down at the start
	cfg.Addr = link.Addr()
	run(t, db, connect(t, cfg), options())

	const subjects, each = 20, 60
	want := map[string]bool{}
	for n := range int64(each) {
		for s := range subjects {
			want[add(t, db, fmt.Sprintf("u%d", s), n+1).ID] = true
		}
		if n%6 == 0 {
			link.Restore()
		}
		if n%6 == 4 {
			link.Cut()
		}
	}
	link.Restore()
	drained(t, db)

	last := map[string]int64{}
	seen := map[string]bool{}
	for len(seen) < len(want) {
		select {
		case e := <-arrived:
			if seen[e.ID] {
				continue // at least once
			}
			if e.Sequence != last[e.Subject]+1 || !want[e.ID] {
				t.Fatalf("%s: event %d came after %d", e.Subject, e.Sequence, last[e.Subject])
			}
			seen[e.ID], last[e.Subject] = true, e.Sequence
		case <-time.After(30 * time.Second):
			t.Fatalf("%d of %d events arrived", len(seen), len(want))
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRelayBacksOffWhileTheBrokerIsDown(t *testing.T) {
	db := database(t)
	errDown := errors.New("down")
	pub := &publisher{fail: func(event.Event) error { return errDown }}
	opts := options()
	opts.MinBackoff, opts.MaxBackoff = 50*time.Millisecond, time.Second
	start := time.Now()
	r, _ := run(t, db, pub, opts)
	add(t, db, "u1", 1)
	testkit.Eventually(t, "try a few times", func() error {
		r.Notify() // must not cut the pause short
		pub.mu.Lock()
		defer pub.mu.Unlock()
		if pub.calls < 5 {
			return fmt.Errorf("%d times", pub.calls)
		}
		return nil
	})
	// 50, 100, 200 and 400 ms between five attempts, each a quarter shorter at the least.
	if took := time.Since(start); took < 560*time.Millisecond {
		t.Errorf("five attempts in %v", took)
	}
}

func TestPublishedEventsAreKeptForAWhile(t *testing.T) {
	db := database(t)
	var pub publisher
	opts := options()
	opts.Retention, opts.PruneInterval = time.Hour, time.Millisecond
	_, stop := run(t, db, &pub, opts)
	for n := range int64(3) {
		add(t, db, "u1", n+1)
	}
	drained(t, db)
	stop()
	if n := rows(t, db); n != 3 {
		t.Fatalf("%d events are kept, want 3", n)
	}

	// Bulk of the past, more than one batch of pruning; one row of a transaction that is still open must not be in the way.
	if _, err := db.Exec(`INSERT INTO pgo_outbox (event_id, type, subject, envelope, created_at, published_at) VALUES ` +
		strings.TrimSuffix(strings.Repeat(`(UUID(), 't', 's', '{}', '2020-01-01', '2020-01-01'),`, 1200), ",")); err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	add(t, tx, "u2", 1)
	run(t, db, &pub, opts)
	testkit.Eventually(t, "forget old events", func() error {
		if n := rows(t, db); n != 3 {
			return fmt.Errorf("%d are kept", n)
		}
		return nil
	})
}

func rows(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRow(`SELECT COUNT(*) FROM pgo_outbox`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
