package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"pgo/pkg/outbox"
	"pgo/pkg/testing/testkit"
)

// leader is the database connection that holds the relay's lock, 0 when none does.
func leader(t *testing.T, db *sql.DB) int64 {
	t.Helper()
	var name string
	var id sql.NullInt64
	if err := db.QueryRow(`SELECT DATABASE()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRow(`SELECT IS_USED_LOCK(?)`, "pgo_outbox."+name).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id.Int64
}

func aLeader(t *testing.T, db *sql.DB, not int64) (id int64) {
	t.Helper()
	testkit.Eventually(t, "find a relay at work", func() error {
		if id = leader(t, db); id == 0 || id == not {
			return fmt.Errorf("the lock is held by connection %d", id)
		}
		return nil
	})
	return id
}

// published waits until p has sent an event with this id.
func published(t *testing.T, id string, ps ...*publisher) {
	t.Helper()
	testkit.Eventually(t, "publish an event", func() error {
		for _, p := range ps {
			if p.times(id) > 0 {
				return nil
			}
		}
		return errors.New("not published")
	})
}

func TestOneOfTwoRelaysIsActive(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, db *sql.DB, stop func()){
		"the first stops": func(_ *testing.T, _ *sql.DB, stop func()) { stop() },
		"the first's connection is killed": func(t *testing.T, db *sql.DB, _ func()) {
			if _, err := db.Exec(fmt.Sprintf("KILL %d", leader(t, db))); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := database(t)
			db.SetMaxIdleConns(-1) // the second must not be lent the very connection that the first gave back
			var first, second publisher
			_, stop := run(t, db, &first, options())
			id := aLeader(t, db, 0)
			run(t, db, &second, options())
			e := add(t, db, "u1", 1)
			published(t, e.ID, &first)
			if len(second.events()) > 0 {
				t.Error("both relays are at work")
			}

			drained(t, db) // what is published but not yet marked goes out again
			end(t, db, stop)
			e = add(t, db, "u1", 2)
			published(t, e.ID, &first, &second)
			aLeader(t, db, id)
			drained(t, db)
			if n := len(first.events()) + len(second.events()); n != 2 {
				t.Errorf("published %d events, want 2", n)
			}
		})
	}
}

// Services share a server but not a database: their relays must not share a lock.
func TestEveryDatabaseHasItsOwnLock(t *testing.T) {
	var first, second publisher
	a, b := database(t), database(t)
	run(t, a, &first, options())
	run(t, b, &second, options())
	published(t, add(t, a, "u1", 1).ID, &first)
	published(t, add(t, b, "u1", 1).ID, &second)
}

// The relay dies after the broker has an event and before that is recorded: the event goes out again, with the same ID.
func TestKilledRelayPublishesAgain(t *testing.T) {
	db := database(t)
	first := &publisher{}
	killed := false
	first.then = func() {
		if !killed {
			killed = true
			if _, err := db.Exec(fmt.Sprintf("KILL %d", leader(t, db))); err != nil {
				t.Error(err)
			}
		}
	}
	e := add(t, db, "u1", 1)
	next := add(t, db, "u1", 2)
	run(t, db, first, options())
	drained(t, db)
	if a, b := first.times(e.ID), first.times(next.ID); a != 2 || b != 1 {
		t.Errorf("published %d and %d times, want 2 and 1", a, b)
	}
}

// A database that is unavailable when the relay starts, and becomes unavailable while it works.
func TestRelaySurvivesADatabaseOutage(t *testing.T) {
	d := testkit.NewDatabase(t)
	direct := d.Open(t)
	if _, err := direct.Exec(outbox.Schema); err != nil {
		t.Fatal(err)
	}
	link := testkit.NewLink(t, d.Addr)
	link.Cut()
	d.Addr = link.Addr()
	var pub publisher
	run(t, d.Open(t), &pub, options())
	for n := range int64(3) {
		e := add(t, direct, "u1", n+1)
		link.Restore()
		published(t, e.ID, &pub)
		link.Cut()
	}
	link.Restore()
	drained(t, direct)
}

func TestMetrics(t *testing.T) {
	db := database(t)
	reg := prometheus.NewRegistry()
	var pub publisher
	if _, err := outbox.NewRelay(db, &pub, logger(t), reg, options()); err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.NewRelay(db, &pub, logger(t), reg, options()); err == nil {
		t.Error("a second relay with the same metrics was accepted")
	}
	add(t, db, "u1", 1)
	add(t, db, "u2", 1)
	const two = `
# HELP pgo_outbox_pending Events that wait to be published.
# TYPE pgo_outbox_pending gauge
pgo_outbox_pending 2
# HELP pgo_outbox_published_total Events that this instance has published and the broker has confirmed.
# TYPE pgo_outbox_published_total counter
pgo_outbox_published_total 0
`
	// The database may need longer than the second that the metrics wait for it.
	testkit.Eventually(t, "two events wait", func() error {
		return testutil.GatherAndCompare(reg, strings.NewReader(two), "pgo_outbox_pending", "pgo_outbox_published_total")
	})
	if _, err := db.Exec(`UPDATE pgo_outbox SET created_at = created_at - INTERVAL 90 SECOND WHERE subject = 'u1'`); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the oldest event's age", func() error {
		age, err := gauge(reg, "pgo_outbox_oldest_pending_seconds")
		if err == nil && (age < 90 || age > 150) {
			err = fmt.Errorf("it waits for %v s, want 90", age)
		}
		return err
	})
	if _, err := db.Exec(`UPDATE pgo_outbox SET published_at = created_at`); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "nothing waits", func() error {
		age, err := gauge(reg, "pgo_outbox_oldest_pending_seconds")
		if err == nil && age != 0 {
			err = fmt.Errorf("but for %v s", age)
		}
		return err
	})
	// Without the database the page of metrics still comes, without the two.
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.Gather(); err != nil {
		t.Errorf("gather without the database: %v", err)
	}
}

func gauge(reg *prometheus.Registry, name string) (float64, error) {
	families, err := reg.Gather()
	if err != nil {
		return 0, err
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue(), nil
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}

func TestActiveRelayMetric(t *testing.T) {
	db := database(t)
	reg := prometheus.NewRegistry()
	r, err := outbox.NewRelay(db, &publisher{}, logger(t), reg, options())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	active := func(want float64) func() error {
		return func() error {
			got, err := gauge(reg, "pgo_outbox_relay_active")
			if err == nil && got != want {
				err = fmt.Errorf("pgo_outbox_relay_active is %v", got)
			}
			return err
		}
	}
	testkit.Eventually(t, "the relay is at work", active(1))
	cancel()
	<-done
	testkit.Eventually(t, "the relay has ended", active(0))
}
