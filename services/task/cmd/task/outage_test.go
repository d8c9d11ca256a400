package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgo/pkg/testing/servicetest"
	"pgo/pkg/testing/testkit"
)

// TestWithoutRedis makes every call while Redis is away, and then while it is very slow.
func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.Start(t, "PGO_CFG_REDIS__TIMEOUT=250ms") // what it is in earnest
	c := w.cast(t, s)
	every := func(t *testing.T) (took time.Duration, made int) {
		for _, k := range calls() {
			r := k.good(t, c, s)
			began := time.Now()
			s.Want(t, r, k.ok, "")
			took += time.Since(began)
			made++
		}
		return took, made
	}
	t.Run("away", func(t *testing.T) {
		w.RedisTo.Down()
		defer w.RedisTo.Up()
		every(t)
		s.Becomes(t, 200, "redis")
	})
	s.Becomes(t, 200, "")
	t.Run("slow", func(t *testing.T) {
		const delay = 2 * time.Second
		w.RedisTo.Slow(delay)
		defer w.RedisTo.Slow(0)
		if took, made := every(t); took > time.Duration(made)*delay/2 {
			t.Errorf("%d calls took %v: they wait for Redis, of which each answer takes %v", made, took, delay)
		}
	})
	s.Becomes(t, 200, "")
	t.Run("what it says is not stale afterwards", func(t *testing.T) {
		id := c.published(t, s)
		stats := request{Method: "GET", Path: "/api/v1/tasks/" + id + "/stats", Token: c.teacher.Token}
		s.Want(t, stats, 200, "") // now it is in the cache
		w.RedisTo.Down()
		s.Want(t, request{Method: "PUT", Path: "/api/v1/tasks/" + id + "/submission", Token: c.student.Token, Body: map[string]any{"content": "x"}}, 200, "")
		w.RedisTo.Up()
		if got := s.Want(t, stats, 200, "").JSON["submitted"]; got != 3.0 {
			t.Errorf("%v have handed in, want 3", got)
		}
	})
}

// TestWithoutRabbitMQ goes on while the broker is away: the events, those of School as well, go their way when it is back.
func TestWithoutRabbitMQ(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	recorder := w.Events(t, "task.#")
	s := w.Start(t)
	second := w.Start(t) // two relays, two consumers, two who make assignments
	c := w.cast(t, s)
	w.BrokerTo.Down()
	s.Becomes(t, 200, "rabbitmq")
	id := c.published(t, s) // the fan-out needs no broker
	c.class.member(t, "class.member_added.v1", c.newcomer.ID, "student")
	if events, _ := recorder.About(id); len(events) != 0 {
		t.Fatalf("events %v went out without a broker", servicetest.Types(events))
	}
	s.Want(t, request{Method: "GET", Path: "/api/v1/tasks/" + id, Token: c.newcomer.Token}, 404, "not_found")
	w.BrokerTo.Up()
	s.Becomes(t, 200, "")
	second.Becomes(t, 200, "")
	w.settled(t)
	s.Want(t, request{Method: "GET", Path: "/api/v1/tasks/" + id, Token: c.newcomer.Token}, 200, "")
	want := []string{"task.published.v1", "task.submitted.v1", "task.submitted.v1", "task.graded.v1"}
	came := func() error {
		if events, _ := recorder.About(id); !slices.Equal(servicetest.Types(events), want) {
			return fmt.Errorf("there are %v", servicetest.Types(events))
		}
		return nil
	}
	testkit.Eventually(t, "the events", came)
	// A broker that goes away while School tells of things: each is known in the end, once.
	for i := range 4 {
		for _, p := range []person{c.student, c.out} {
			event := "class.member_added.v1"
			if i%2 == 0 {
				event = "class.member_removed.v1"
			}
			c.class.member(t, event, p.ID, "student")
		}
		w.BrokerTo.Down()
		w.BrokerTo.Up()
	}
	w.settled(t)
	s.Want(t, request{Method: "GET", Path: "/api/v1/tasks/" + id, Token: c.out.Token}, 200, "")
	exact(t, w.db)
}

func TestWithoutMySQL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.Start(t)
	c := w.cast(t, s)
	requests := map[string]request{}
	for _, k := range calls() {
		requests[k.name] = k.good(t, c, s)
	}
	w.MySQLTo.Down()
	for name, r := range requests {
		t.Run(name, func(t *testing.T) {
			s.WantUnavailable(t, r)
		})
	}
	s.Becomes(t, 503, "mysql")
	s.Want(t, request{Method: "GET", Path: "/livez"}, 200, "")
	c.class.member(t, "class.member_added.v1", c.newcomer.ID, "student") // while nobody can write it down
	w.MySQLTo.Up()
	s.Becomes(t, 200, "")
	w.settled(t)
	id := c.published(t, s)
	s.Want(t, request{Method: "GET", Path: "/api/v1/tasks/" + id, Token: c.newcomer.Token}, 200, "")
}

// TestWithoutUser goes on with the keys and the sessions that it knows, and says so. One that is started meanwhile waits.
func TestWithoutUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.Start(t)
	c := w.cast(t, s)
	w.iss.To.Down()
	s.Becomes(t, 200, "ended_sessions")
	for _, k := range calls() {
		s.Want(t, k.good(t, c, s), k.ok, "")
	}
	w.iss.To.Up()
	s.Becomes(t, 200, "")
}

// TestKilledConnections ends all of the service's connections: a call that was about to use one is told to try again,
// and the next one passes.
func TestKilledConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.Start(t)
	c := w.cast(t, s)
	id := c.published(t, s)
	w.SurvivesKills(t, s,
		request{Method: "GET", Path: "/api/v1/tasks", Token: c.teacher.Token},
		request{Method: "PUT", Path: "/api/v1/tasks/" + id + "/submission", Token: c.student.Token, Body: map[string]any{"content": "x"}},
	)
	exact(t, w.db)
}

// TestStopsInOrder ends the service and starts it anew in the middle of a fan-out.
func TestStopsInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.Start(t)
	c := w.cast(t, s)
	var values []string
	for i := range 4000 {
		values = append(values, fmt.Sprintf("('%s', '%s', 'student', FALSE, %d)", c.class.ID, newID(), i+1))
	}
	if _, err := w.db.Exec("INSERT INTO view_class_members (class_id, user_id, role, removed, sequence) VALUES " + strings.Join(values, ",")); err != nil {
		t.Fatal(err)
	}
	id := c.draft(t, s)
	s.Want(t, request{Method: "POST", Path: "/api/v1/tasks/" + id + "/publish", Token: c.teacher.Token}, 202, "")
	if code := s.Stop(); code != 0 {
		t.Errorf("ends with %d", code)
	}
	s = w.Start(t)
	w.fannedOut(t)
	if got := s.Want(t, request{Method: "GET", Path: "/api/v1/tasks/" + id, Token: c.teacher.Token}, 200, "").JSON["assigned_count"]; got != 4003.0 {
		t.Errorf("%v are assigned, want 4003", got)
	}
	exact(t, w.db)
}
