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
	s := env.start(t, "PGO_CFG_REDIS__TIMEOUT=250ms") // the default in production
	admin := env.createAdmin(t, s, "root@example.org")
	every := func(t *testing.T, names ...string) (took time.Duration, made int) {
		for _, k := range calls() {
			if len(names) > 0 && !slices.Contains(names, k.name) {
				continue
			}
			s := s.withT(t)
			c := env.newParticipants(k, s, admin)
			r := request{Method: k.method, Path: k.path(t, c), Token: c.token(k)}
			if k.body != nil {
				r.Body = k.body(t, c)
			}
			began := time.Now()
			s.expect(r, k.ok, "")
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
		if took, made := every(t, "login", "get me", "patch me", "delete me"); took > time.Duration(made)*delay/2 {
			t.Errorf("%d calls took %v: they wait for Redis, of which each answer takes %v", made, took, delay)
		}
	})
	s.awaitReadiness(200, "")
	t.Run("cache is not stale afterwards", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		me := request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}
		s.expect(me, 200, "") // now it is in the cache
		env.RedisLink.Cut()
		s.expect(request{Method: "PATCH", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"name": "New"}}, 200, "")
		env.RedisLink.Restore()
		if got := s.expect(me, 200, "").Text("name"); got != "New" {
			t.Errorf("read %q after a change to New", got)
		}
	})
}

// TestWithoutRabbitMQ signs up and in while the broker is unavailable: the events are published when it is back, and each
// mail is sent once.
func TestWithoutRabbitMQ(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	watcher := env.RecordEvents(t, "#")
	s := env.start(t)
	second := env.start(t) // two relays, two mailers
	env.BrokerLink.Cut()
	s.awaitReadiness(200, "rabbitmq")
	var people []person
	for range 3 {
		people = append(people, s.signUp("Ada"))
	}
	if events, _ := watcher.EventsAbout(people[0].ID); len(events) != 0 {
		t.Fatalf("events %v were published without a broker", servicetest.EventTypes(events))
	}
	env.BrokerLink.Restore()
	s.awaitReadiness(200, "")
	second.awaitReadiness(200, "")
	for _, p := range people {
		testkit.Eventually(t, "the events", func() error {
			if events, _ := watcher.EventsAbout(p.ID); !slices.Equal(servicetest.EventTypes(events), []string{"user.created.v1", "user.mail_requested.v1"}) {
				return fmt.Errorf("there are %v", servicetest.EventTypes(events))
			}
			return nil
		})
		if _, again := watcher.EventsAbout(p.ID); again != 0 {
			t.Errorf("%d events were delivered again", again)
		}
		s.expect(verifyRequest(env.awaitMailToken(t, p.Email, "Confirm", 1)), 204, "")
	}
	// The broker disconnects while events are being published: each is delivered, perhaps twice, and the mail is sent once.
	for range 4 {
		people = append(people, s.signUp("Bob"))
		env.BrokerLink.Cut()
		people = append(people, s.signUp("Cleo"))
		env.BrokerLink.Restore()
	}
	for _, p := range people[3:] {
		testkit.Eventually(t, "the events", func() error {
			if events, _ := watcher.EventsAbout(p.ID); !slices.Equal(servicetest.EventTypes(events), []string{"user.created.v1", "user.mail_requested.v1"}) {
				return fmt.Errorf("there are %v", servicetest.EventTypes(events))
			}
			return nil
		})
		env.awaitMailToken(t, p.Email, "Confirm", 1)
	}
	dumpTables(t, env.DB.Open(t)) // waits for the mailers
	for _, p := range people {
		if mails := env.readMails(t, p.Email, "Confirm"); len(mails) != 1 {
			t.Errorf("%d mails to one person", len(mails))
		}
	}
}

func TestWithoutMySQL(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	admin := env.createAdmin(t, s, "root@example.org")
	c := participants{env: env, s: s, admin: admin, p: s.signUp("Ada"), other: s.signUp("Bob")}
	requests := map[string]request{}
	for _, k := range calls() {
		r := request{Method: k.method, Path: k.path(t, c), Token: c.token(k)}
		if k.body != nil {
			r.Body = k.body(t, c)
		}
		requests[k.name] = r
	}
	env.MySQLLink.Cut()
	for name, r := range requests {
		t.Run(name, func(t *testing.T) {
			fromMemory := name == "get me" || name == "get user" || name == "keys" || name == "keys at the root" || strings.HasSuffix(name, " page")
			if fromMemory && s.withT(t).send(r).Status == 200 {
				return
			}
			s.ExpectUnavailable(t, r)
		})
	}
	s.awaitReadiness(503, "mysql")
	s.expect(request{Method: "GET", Path: "/livez"}, 200, "")
	env.MySQLLink.Restore()
	s.awaitReadiness(200, "")
	s.signIn(c.p, password)
	s.signUp("Late")
}

// TestKilledConnections ends all of the service's connections, as a restart of the server or its idle timeout
// does: a call that was about to use one gets 503, and the next one succeeds.
func TestKilledConnections(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	p := s.signUp("Ada")
	db := env.DB.Open(t)
	env.AssertReconnects(t, s.Instance,
		request{Method: "GET", Path: "/api/v1/auth/sessions", Token: p.Access},
		request{Method: "PATCH", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"name": "New"}},
	)
	dumpTables(t, db)
}
