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
	admin := w.admin(t, s, "root@example.org")
	every := func(t *testing.T, names ...string) (took time.Duration, made int) {
		for _, k := range calls() {
			if len(names) > 0 && !slices.Contains(names, k.name) {
				continue
			}
			s := s.in(t)
			c := w.castFor(k, s, admin)
			r := request{Method: k.method, Path: k.path(t, c), Token: c.token(k)}
			if k.body != nil {
				r.Body = k.body(t, c)
			}
			began := time.Now()
			s.want(r, k.ok, "")
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
		if took, made := every(t, "login", "get me", "patch me", "delete me"); took > time.Duration(made)*delay/2 {
			t.Errorf("%d calls took %v: they wait for Redis, of which each answer takes %v", made, took, delay)
		}
	})
	s.becomes(200, "")
	t.Run("what it says is not stale afterwards", func(t *testing.T) {
		s := s.in(t)
		p := s.signUp("Ada")
		me := request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}
		s.want(me, 200, "") // now it is in the cache
		w.RedisLink.Cut()
		s.want(request{Method: "PATCH", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"name": "New"}}, 200, "")
		w.RedisLink.Restore()
		if got := s.want(me, 200, "").Text("name"); got != "New" {
			t.Errorf("read %q after a change to New", got)
		}
	})
}

// TestWithoutRabbitMQ signs up and in while the broker is away: the events go out when it is back, and the mail
// is made once.
func TestWithoutRabbitMQ(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	watcher := w.RecordEvents(t, "#")
	s := w.start(t)
	second := w.start(t) // two relays, two mailers
	w.BrokerLink.Cut()
	s.becomes(200, "rabbitmq")
	var people []person
	for range 3 {
		people = append(people, s.signUp("Ada"))
	}
	if events, _ := watcher.EventsAbout(people[0].ID); len(events) != 0 {
		t.Fatalf("events %v went out without a broker", servicetest.EventTypes(events))
	}
	w.BrokerLink.Restore()
	s.becomes(200, "")
	second.becomes(200, "")
	for _, p := range people {
		testkit.Eventually(t, "the events", func() error {
			if events, _ := watcher.EventsAbout(p.ID); !slices.Equal(servicetest.EventTypes(events), []string{"user.created.v1", "user.mail_requested.v1"}) {
				return fmt.Errorf("there are %v", servicetest.EventTypes(events))
			}
			return nil
		})
		if _, again := watcher.EventsAbout(p.ID); again != 0 {
			t.Errorf("%d events came again", again)
		}
		s.want(verify(w.mailToken(t, p.Email, "Confirm", 1)), 204, "")
	}
	// A broker that goes away while events are on their way: each comes, perhaps twice; the mail is made once.
	for range 4 {
		people = append(people, s.signUp("Bob"))
		w.BrokerLink.Cut()
		people = append(people, s.signUp("Cleo"))
		w.BrokerLink.Restore()
	}
	for _, p := range people[3:] {
		testkit.Eventually(t, "the events", func() error {
			if events, _ := watcher.EventsAbout(p.ID); !slices.Equal(servicetest.EventTypes(events), []string{"user.created.v1", "user.mail_requested.v1"}) {
				return fmt.Errorf("there are %v", servicetest.EventTypes(events))
			}
			return nil
		})
		w.mailToken(t, p.Email, "Confirm", 1)
	}
	dump(t, w.DB.Open(t)) // waits for the mailers
	for _, p := range people {
		if mails := w.mails(t, p.Email, "Confirm"); len(mails) != 1 {
			t.Errorf("%d mails to one person", len(mails))
		}
	}
}

func TestWithoutMySQL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	admin := w.admin(t, s, "root@example.org")
	c := cast{w: w, s: s, admin: admin, p: s.signUp("Ada"), other: s.signUp("Bob")}
	requests := map[string]request{}
	for _, k := range calls() {
		r := request{Method: k.method, Path: k.path(t, c), Token: c.token(k)}
		if k.body != nil {
			r.Body = k.body(t, c)
		}
		requests[k.name] = r
	}
	w.MySQLLink.Cut()
	for name, r := range requests {
		t.Run(name, func(t *testing.T) {
			fromMemory := name == "get me" || name == "get user" || name == "keys" || name == "keys at the root"
			if fromMemory && s.in(t).do(r).Status == 200 {
				return
			}
			s.ExpectUnavailable(t, r)
		})
	}
	s.becomes(503, "mysql")
	s.want(request{Method: "GET", Path: "/livez"}, 200, "")
	w.MySQLLink.Restore()
	s.becomes(200, "")
	s.signIn(c.p, password)
	s.signUp("Late")
}

// TestKilledConnections ends all of the service's connections, as a restart of the server or its idle timeout
// does: a call that was about to use one is told to try again, and the next one passes.
func TestKilledConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	p := s.signUp("Ada")
	db := w.DB.Open(t)
	w.AssertReconnects(t, s.Instance,
		request{Method: "GET", Path: "/api/v1/auth/sessions", Token: p.Access},
		request{Method: "PATCH", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"name": "New"}},
	)
	dump(t, db)
}
