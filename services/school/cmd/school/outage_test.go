package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgo/pkg/testing/servicetest"
	"pgo/pkg/testing/testkit"
)

// TestWithoutRedis makes every call while Redis is away, and then while it is very slow.
func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t, "PGO_CFG_REDIS__TIMEOUT=250ms") // what it is in earnest
	every := func(t *testing.T, names ...string) (took time.Duration, made int) {
		for _, k := range calls() {
			if len(names) > 0 && !slices.Contains(names, k.name) {
				continue
			}
			c := w.campus(t, s)
			r := k.request(c, k.caller(c))
			began := time.Now()
			c.s.want(r, k.ok(), "")
			took += time.Since(began)
			made++
		}
		return took, made
	}
	t.Run("away", func(t *testing.T) {
		w.RedisLink.Cut()
		defer w.RedisLink.Restore()
		every(t)
		s.in(t).becomes(200, "redis")
	})
	s.becomes(200, "")
	t.Run("slow", func(t *testing.T) {
		const delay = 2 * time.Second
		w.RedisLink.SetLatency(delay)
		defer w.RedisLink.SetLatency(0)
		if took, made := every(t, "get school", "patch member"); took > time.Duration(made)*delay/2 {
			t.Errorf("%d calls took %v: they wait for Redis, of which each answer takes %v", made, took, delay)
		}
	})
	s.becomes(200, "")
	t.Run("what it says is not stale afterwards", func(t *testing.T) {
		c := w.campus(t, s)
		get := request{Method: "GET", Path: schools + "/" + c.school, Token: c.student.Token}
		class := request{Method: "GET", Path: classes + c.class, Token: c.student.Token}
		c.s.want(get, 200, "") // now they are in the cache
		c.s.want(class, 200, "")
		w.RedisLink.Cut()
		c.s.want(request{Method: "PATCH", Path: get.Path, Token: c.owner.Token, Body: map[string]string{"name": "New"}}, 200, "")
		c.s.want(request{Method: "PATCH", Path: class.Path, Token: c.owner.Token, Body: map[string]string{"name": "New"}}, 200, "")
		w.RedisLink.Restore()
		for _, r := range []request{get, class} {
			if got := c.s.want(r, 200, "").Text("name"); got != "New" {
				t.Errorf("%s: read %q after a change to New", r.Path, got)
			}
		}
		w.RedisLink.Cut()
		c.s.want(removeMember(c.owner, c.school, c.student), 204, "")
		w.RedisLink.Restore()
		for _, r := range []request{get, class} {
			c.s.want(r, 404, "not_found")
		}
	})
}

// TestAnotherInstanceIsNotStale changes on one instance what another has just read through the cache.
func TestAnotherInstanceIsNotStale(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.start(t), w.start(t)
	c := w.campus(t, a)
	get := request{Method: "GET", Path: schools + "/" + c.school, Token: c.outsider.Token}
	for range 3 {
		b.want(get, 404, "not_found")
		a.accept(c.outsider, c.code)
		b.want(get, 200, "")
		a.want(removeMember(c.outsider, c.school, c.outsider), 204, "")
	}
	a.accept(c.outsider, c.code)
	b.want(get, 200, "")
	a.want(request{Method: "DELETE", Path: get.Path, Token: c.owner.Token}, 204, "")
	b.want(get, 404, "not_found")
}

// TestWithoutRabbitMQ changes a school while the broker is away: the events go out when it is back, in order.
func TestWithoutRabbitMQ(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	watcher := w.RecordEvents(t, "school.#")
	s := w.start(t)
	second := w.start(t) // two relays
	w.BrokerLink.Cut()
	s.becomes(200, "rabbitmq")
	owner, member := w.person(t), w.person(t)
	id := s.makeSchool(owner)
	s.join(owner, id, "student", member)
	if events, _ := watcher.EventsAbout(id); len(events) != 0 {
		t.Fatalf("events %v went out without a broker", servicetest.EventTypes(events))
	}
	w.BrokerLink.Restore()
	s.becomes(200, "")
	second.becomes(200, "")
	want := []string{"school.created.v1", "school.member_added.v1", "school.member_added.v1"}
	inOrder := func() {
		t.Helper()
		testkit.Eventually(t, "the events", func() error {
			if events, _ := watcher.EventsAbout(id); !slices.Equal(servicetest.EventTypes(events), want) {
				return fmt.Errorf("there are %v", servicetest.EventTypes(events))
			}
			return nil
		})
	}
	inOrder()
	for i := range 4 { // while it comes and goes
		s.want(setRole(owner, id, member, []string{"teacher", "student"}[i%2]), 200, "")
		w.BrokerLink.Cut()
		s.want(request{Method: "PATCH", Path: schools + "/" + id, Token: owner.Token, Body: map[string]string{"name": fmt.Sprint(i)}}, 200, "")
		w.BrokerLink.Restore()
		want = append(want, "school.member_changed.v1", "school.updated.v1")
	}
	inOrder()
	events, _ := watcher.EventsAbout(id)
	for i, e := range events {
		if e.Sequence != int64(i+1) {
			t.Errorf("event %d has sequence %d", i+1, e.Sequence)
		}
	}
	t.Run("names arrive afterwards", func(t *testing.T) {
		s := s.in(t)
		w.BrokerLink.Cut()
		e := w.user(t, "user.created.v1", member, 1, "Mia")
		w.Deliver(t, e) // past the link
		w.BrokerLink.Restore()
		s.handled(e)
		if got := s.names(schools+"/"+id+"/members", owner); !slices.Equal(got, []string{"-", "Mia"}) {
			t.Errorf("got %v", got)
		}
	})
}

func TestWithoutMySQL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	c := w.campus(t, s)
	w.MySQLLink.Cut()
	for _, k := range calls() {
		t.Run(k.name, func(t *testing.T) {
			s.ExpectUnavailable(t, k.request(c, k.caller(c)))
		})
	}
	s.becomes(503, "mysql")
	s.want(request{Method: "GET", Path: "/livez"}, 200, "")
	deleted := w.user(t, "user.deleted.v1", c.student, 2, "")
	w.Deliver(t, deleted) // tried again until it is back
	w.MySQLLink.Restore()
	s.becomes(200, "")
	w.campus(t, s)
	s.handled(deleted)
	s.want(request{Method: "GET", Path: schools + "/" + c.school, Token: c.student.Token}, 404, "not_found")
}

// TestKilledConnections ends all of the service's connections, as a restart of the server or its idle timeout does: a
// call that was about to use one is told to try again, and the next one passes.
func TestKilledConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	c := w.campus(t, s)
	w.AssertReconnects(t, s.Instance,
		request{Method: "GET", Path: schools + "/" + c.school + "/members", Token: c.owner.Token},
		request{Method: "PATCH", Path: schools + "/" + c.school, Token: c.owner.Token, Body: map[string]string{"name": "New"}},
	)
}

// TestWithoutUser ends a session, which dies here long before its token expires, and goes on while the User service is away.
func TestWithoutUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	p := w.person(t)
	list := request{Method: "GET", Path: schools, Token: p.Token}
	s.want(list, 200, "")
	w.issuer.EndSession(p.Token)
	testkit.Eventually(t, "the session's end", func() error {
		if res := s.do(list); res.Status != 401 {
			return fmt.Errorf("the token still works: %d", res.Status)
		}
		return nil
	})
	list.Token = w.issuer.NewToken(p.ID, "user")
	w.issuer.Link.Cut()
	s.becomes(200, "ended_sessions")
	s.want(list, 200, "")
	list.Token = w.issuer.NewToken(p.ID, "user") // of a key that is known
	s.want(list, 200, "")
	w.issuer.Link.Restore()
	s.becomes(200, "")
}
