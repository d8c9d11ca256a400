package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgo/pkg/testing/servicetest"
	"pgo/pkg/testing/testkit"
)

// TestWithoutRedis makes every call while Redis is unavailable, and then while it is very slow.
func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t, "PGO_CFG_REDIS__TIMEOUT=250ms") // the default in production
	every := func(t *testing.T, names ...string) (took time.Duration, made int) {
		for _, k := range calls() {
			if len(names) > 0 && !slices.Contains(names, k.name) {
				continue
			}
			c := env.createCampus(t, s)
			r := k.newRequest(c, k.permittedCaller(c))
			began := time.Now()
			c.s.expect(r, k.successStatus(), "")
			took += time.Since(began)
			made++
		}
		return took, made
	}
	t.Run("unavailable", func(t *testing.T) {
		env.RedisLink.Cut()
		defer env.RedisLink.Restore()
		every(t)
		s.withT(t).awaitReadiness(200, "redis")
	})
	s.awaitReadiness(200, "")
	t.Run("slow", func(t *testing.T) {
		const delay = 2 * time.Second
		env.RedisLink.SetLatency(delay)
		defer env.RedisLink.SetLatency(0)
		if took, made := every(t, "get school", "patch member"); took > time.Duration(made)*delay/2 {
			t.Errorf("%d calls took %v: they wait for Redis, of which each answer takes %v", made, took, delay)
		}
	})
	s.awaitReadiness(200, "")
	t.Run("cache is not stale afterwards", func(t *testing.T) {
		c := env.createCampus(t, s)
		get := request{Method: "GET", Path: schools + "/" + c.school, Token: c.student.Token}
		class := request{Method: "GET", Path: classes + c.class, Token: c.student.Token}
		c.s.expect(get, 200, "") // now they are in the cache
		c.s.expect(class, 200, "")
		env.RedisLink.Cut()
		c.s.expect(request{Method: "PATCH", Path: get.Path, Token: c.owner.Token, Body: map[string]string{"name": "New"}}, 200, "")
		c.s.expect(request{Method: "PATCH", Path: class.Path, Token: c.owner.Token, Body: map[string]string{"name": "New"}}, 200, "")
		env.RedisLink.Restore()
		for _, r := range []request{get, class} {
			if got := c.s.expect(r, 200, "").Text("name"); got != "New" {
				t.Errorf("%s: read %q after a change to New", r.Path, got)
			}
		}
		env.RedisLink.Cut()
		c.s.expect(removeMemberRequest(c.owner, c.school, c.student), 204, "")
		env.RedisLink.Restore()
		for _, r := range []request{get, class} {
			c.s.expect(r, 404, "not_found")
		}
	})
}

// TestOtherInstanceReadsCurrentData changes on one instance what another has just read through the cache.
func TestOtherInstanceReadsCurrentData(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	a, b := env.start(t), env.start(t)
	c := env.createCampus(t, a)
	get := request{Method: "GET", Path: schools + "/" + c.school, Token: c.outsider.Token}
	for range 3 {
		b.expect(get, 404, "not_found")
		a.acceptInvite(c.outsider, c.code)
		b.expect(get, 200, "")
		a.expect(removeMemberRequest(c.outsider, c.school, c.outsider), 204, "")
	}
	a.acceptInvite(c.outsider, c.code)
	b.expect(get, 200, "")
	a.expect(archiveSchoolRequest(c.owner, c.school, "Lakeside"), 204, "")
	b.expect(get, 404, "not_found")
}

// TestWithoutRabbitMQ changes a school while the broker is unavailable: the events are published in order when it is back.
func TestWithoutRabbitMQ(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	watcher := env.RecordEvents(t, "school.#")
	s := env.start(t)
	second := env.start(t) // two relays
	env.BrokerLink.Cut()
	s.awaitReadiness(200, "rabbitmq")
	owner, member := env.person(t), env.person(t)
	id := s.createSchool(owner)
	s.addMembers(owner, id, "student", member)
	if events, _ := watcher.EventsAbout(id); len(events) != 0 {
		t.Fatalf("events %v were published without a broker", servicetest.EventTypes(events))
	}
	env.BrokerLink.Restore()
	s.awaitReadiness(200, "")
	second.awaitReadiness(200, "")
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
		s.expect(setRoleRequest(owner, id, member, []string{"teacher", "student"}[i%2]), 200, "")
		env.BrokerLink.Cut()
		s.expect(request{Method: "PATCH", Path: schools + "/" + id, Token: owner.Token, Body: map[string]string{"name": fmt.Sprint(i)}}, 200, "")
		env.BrokerLink.Restore()
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
		s := s.withT(t)
		env.BrokerLink.Cut()
		e := env.userEvent(t, "user.created.v1", member, 1, "Mia")
		env.Deliver(t, e) // past the link
		env.BrokerLink.Restore()
		s.awaitHandled(e)
		if got := s.listNames(schools+"/"+id+"/members", owner); !slices.Equal(got, []string{"-", "Mia"}) {
			t.Errorf("got %v", got)
		}
	})
}

func TestWithoutMySQL(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	c := env.createCampus(t, s)
	env.MySQLLink.Cut()
	for _, k := range calls() {
		t.Run(k.name, func(t *testing.T) {
			s.ExpectUnavailable(t, k.newRequest(c, k.permittedCaller(c)))
		})
	}
	s.awaitReadiness(503, "mysql")
	s.expect(request{Method: "GET", Path: "/livez"}, 200, "")
	deleted := env.userEvent(t, "user.deleted.v1", c.student, 2, "")
	env.Deliver(t, deleted) // tried again until it is back
	env.MySQLLink.Restore()
	s.awaitReadiness(200, "")
	env.createCampus(t, s)
	s.awaitHandled(deleted)
	s.expect(request{Method: "GET", Path: schools + "/" + c.school, Token: c.student.Token}, 404, "not_found")
}

// TestKilledConnections ends all of the service's connections, as a restart of the server or its idle timeout does: a
// call that was about to use one gets 503, and the next one succeeds.
func TestKilledConnections(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	c := env.createCampus(t, s)
	env.AssertReconnects(t, s.Instance,
		request{Method: "GET", Path: schools + "/" + c.school + "/members", Token: c.owner.Token},
		request{Method: "PATCH", Path: schools + "/" + c.school, Token: c.owner.Token, Body: map[string]string{"name": "New"}},
	)
}

// TestWithoutUser ends a session, whose token is rejected long before it expires, and serves requests while User is down.
func TestWithoutUser(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	p := env.person(t)
	list := request{Method: "GET", Path: schools, Token: p.Token}
	s.expect(list, 200, "")
	env.issuer.EndSession(p.Token)
	testkit.Eventually(t, "the session's end", func() error {
		if res := s.send(list); res.Status != 401 {
			return fmt.Errorf("the token is still accepted: %d", res.Status)
		}
		return nil
	})
	list.Token = env.issuer.NewToken(p.ID, "user")
	env.issuer.Link.Cut()
	s.awaitReadiness(200, "ended_sessions")
	s.expect(list, 200, "")
	list.Token = env.issuer.NewToken(p.ID, "user") // of a key that is known
	s.expect(list, 200, "")
	env.issuer.Link.Restore()
	s.awaitReadiness(200, "")
}
