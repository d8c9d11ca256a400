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

// TestWithoutRedis makes every call while Redis is unavailable, and then while it is very slow.
func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t, "PGO_CFG_REDIS__TIMEOUT=250ms") // the default in production
	c := env.createClassroom(t, s)
	every := func(t *testing.T) (took time.Duration, made int) {
		for _, k := range calls() {
			r := k.validRequest(t, c, s)
			began := time.Now()
			s.Expect(t, r, k.ok, "")
			took += time.Since(began)
			made++
		}
		return took, made
	}
	t.Run("unavailable", func(t *testing.T) {
		env.RedisLink.Cut()
		defer env.RedisLink.Restore()
		every(t)
		s.AwaitReadiness(t, 200, "redis")
	})
	s.AwaitReadiness(t, 200, "")
	t.Run("slow", func(t *testing.T) {
		const delay = 2 * time.Second
		env.RedisLink.SetLatency(delay)
		defer env.RedisLink.SetLatency(0)
		if took, made := every(t); took > time.Duration(made)*delay/2 {
			t.Errorf("%d calls took %v: they wait for Redis, of which each answer takes %v", made, took, delay)
		}
	})
	s.AwaitReadiness(t, 200, "")
	t.Run("cache is not stale afterwards", func(t *testing.T) {
		id := c.createPublished(t, s)
		stats := request{Method: "GET", Path: "/api/v1/tasks/" + id + "/stats", Token: c.teacher.Token}
		s.Expect(t, stats, 200, "") // now it is in the cache
		env.RedisLink.Cut()
		s.Expect(t, request{Method: "PUT", Path: "/api/v1/tasks/" + id + "/submission", Token: c.student.Token, Body: map[string]any{"content": "x"}}, 200, "")
		env.RedisLink.Restore()
		if got := s.Expect(t, stats, 200, "").JSON["submitted"]; got != 3.0 {
			t.Errorf("%v have handed in, want 3", got)
		}
	})
}

// TestWithoutRabbitMQ makes calls while the broker is unavailable: Task's and School's events are delivered when it is back.
func TestWithoutRabbitMQ(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	recorder := env.RecordEvents(t, "task.#")
	s := env.Start(t)
	second := env.Start(t) // two relays, two consumers, two fan-outs
	c := env.createClassroom(t, s)
	env.BrokerLink.Cut()
	s.AwaitReadiness(t, 200, "rabbitmq")
	id := c.createPublished(t, s) // the fan-out needs no broker
	c.class.publishMember(t, "class.member_added.v1", c.newcomer.ID, "student")
	if events, _ := recorder.EventsAbout(id); len(events) != 0 {
		t.Fatalf("events %v were published without a broker", servicetest.EventTypes(events))
	}
	s.Expect(t, request{Method: "GET", Path: "/api/v1/tasks/" + id, Token: c.newcomer.Token}, 404, "not_found")
	env.BrokerLink.Restore()
	s.AwaitReadiness(t, 200, "")
	second.AwaitReadiness(t, 200, "")
	env.awaitApplied(t)
	s.Expect(t, request{Method: "GET", Path: "/api/v1/tasks/" + id, Token: c.newcomer.Token}, 200, "")
	want := []string{"task.published.v1", "task.submitted.v1", "task.submitted.v1", "task.graded.v1"}
	published := func() error {
		if events, _ := recorder.EventsAbout(id); !slices.Equal(servicetest.EventTypes(events), want) {
			return fmt.Errorf("there are %v", servicetest.EventTypes(events))
		}
		return nil
	}
	testkit.Eventually(t, "the events", published)
	// The broker disconnects while School publishes events: each is applied once in the end.
	for i := range 4 {
		for _, p := range []person{c.student, c.former} {
			event := "class.member_added.v1"
			if i%2 == 0 {
				event = "class.member_removed.v1"
			}
			c.class.publishMember(t, event, p.ID, "student")
		}
		env.BrokerLink.Cut()
		env.BrokerLink.Restore()
	}
	env.awaitApplied(t)
	s.Expect(t, request{Method: "GET", Path: "/api/v1/tasks/" + id, Token: c.former.Token}, 200, "")
	assertCounts(t, env.db)
}

func TestWithoutMySQL(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	requests := map[string]request{}
	for _, k := range calls() {
		requests[k.name] = k.validRequest(t, c, s)
	}
	env.MySQLLink.Cut()
	for name, r := range requests {
		t.Run(name, func(t *testing.T) {
			s.ExpectUnavailable(t, r)
		})
	}
	s.AwaitReadiness(t, 503, "mysql")
	s.Expect(t, request{Method: "GET", Path: "/livez"}, 200, "")
	c.class.publishMember(t, "class.member_added.v1", c.newcomer.ID, "student") // while no one can store it
	env.MySQLLink.Restore()
	s.AwaitReadiness(t, 200, "")
	env.awaitApplied(t)
	id := c.createPublished(t, s)
	s.Expect(t, request{Method: "GET", Path: "/api/v1/tasks/" + id, Token: c.newcomer.Token}, 200, "")
}

// TestWithoutUser makes every call while User is down: the service uses the keys and sessions that it knows, and reports it.
func TestWithoutUser(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	env.issuer.Link.Cut()
	s.AwaitReadiness(t, 200, "ended_sessions")
	for _, k := range calls() {
		s.Expect(t, k.validRequest(t, c, s), k.ok, "")
	}
	env.issuer.Link.Restore()
	s.AwaitReadiness(t, 200, "")
}

// TestKilledConnections ends all of the service's connections: a call that was about to use one gets 503, and the
// next one succeeds.
func TestKilledConnections(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	id := c.createPublished(t, s)
	env.AssertReconnects(t, s,
		request{Method: "GET", Path: "/api/v1/tasks", Token: c.teacher.Token},
		request{Method: "PUT", Path: "/api/v1/tasks/" + id + "/submission", Token: c.student.Token, Body: map[string]any{"content": "x"}},
	)
	assertCounts(t, env.db)
}

// TestShutdownOrder stops the service in the middle of a fan-out and starts it again.
func TestShutdownOrder(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	var values []string
	for i := range 4000 {
		values = append(values, fmt.Sprintf("('%s', '%s', 'student', FALSE, %d)", c.class.ID, newID(), i+1))
	}
	if _, err := env.db.Exec("INSERT INTO view_class_members (class_id, user_id, role, removed, sequence) VALUES " + strings.Join(values, ",")); err != nil {
		t.Fatal(err)
	}
	id := c.createDraft(t, s)
	s.Expect(t, request{Method: "POST", Path: "/api/v1/tasks/" + id + "/publish", Token: c.teacher.Token}, 202, "")
	if code := s.Stop(); code != 0 {
		t.Errorf("ends with %d", code)
	}
	s = env.Start(t)
	env.awaitFanOut(t)
	if got := s.Expect(t, request{Method: "GET", Path: "/api/v1/tasks/" + id, Token: c.teacher.Token}, 200, "").JSON["assigned_count"]; got != 4003.0 {
		t.Errorf("%v are assigned, want 4003", got)
	}
	assertCounts(t, env.db)
}
