package throttle_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"pgo/pkg/cache"
	"pgo/pkg/config"
	"pgo/pkg/testing/testkit"
	"pgo/services/user"
	"pgo/services/user/throttle"
)

func TestAttemptsMetric(t *testing.T) {
	server := testkit.NewRedis(t)
	link := testkit.NewLink(t, server.Addr)
	cfg := cache.Defaults()
	cfg.Addr, cfg.Username, cfg.Password, cfg.Timeout = link.Addr(), server.Username, config.Secret(server.Password), 5*time.Second
	client := cache.Open(cfg)
	t.Cleanup(func() { client.Close() })
	limits := throttle.New(client, server.Prefix, func() throttle.Limits { return newLimits(2) }, zap.NewNop())
	reg := prometheus.NewRegistry()
	reg.MustRegister(limits)
	ada := user.Attempt{Account: "ada@example.org", IP: "192.0.2.1"}
	for range 2 {
		limits.CountAttempt(t.Context(), ada)
	}
	// Another process has not seen them, and learns of them from Redis.
	if other := throttle.New(client, server.Prefix, func() throttle.Limits { return newLimits(2) }, zap.NewNop()); other.CountAttempt(t.Context(), ada) == 0 {
		t.Error("another process allows a third failure")
	}
	limits.CountAttempt(t.Context(), user.Attempt{Account: "eve@example.org", IP: "192.0.2.1"})
	if err := client.FlushDB(t.Context()).Err(); err != nil {
		t.Logf("the test's account may not empty Redis: %v", err)
		link.Cut()
	}
	if limits.CountAttempt(t.Context(), ada) == 0 {
		t.Error("without its counters in Redis, the process forgives what it has counted")
	}
	link.Cut()
	limits.CountAttempt(t.Context(), user.Attempt{Account: "bob@example.org", IP: "192.0.2.1"})
	err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP pgo_login_attempts_total Attempts to sign in by result (allowed or refused) and by where they are counted (redis, or memory while Redis is unavailable).
# TYPE pgo_login_attempts_total counter
pgo_login_attempts_total{counted_in="memory",result="allowed"} 1
pgo_login_attempts_total{counted_in="memory",result="refused"} 1
pgo_login_attempts_total{counted_in="redis",result="allowed"} 3
pgo_login_attempts_total{counted_in="redis",result="refused"} 0
`))
	if err != nil {
		t.Error(err)
	}
}

func newLimits(account int) throttle.Limits {
	return throttle.Limits{Window: time.Hour, Account: account, Free: 5, Delay: 5 * time.Minute, Address: 100, Invented: 3, SignIn: 100, SignUp: 3, Mail: 3}
}

// TestDelays makes failed attempts one after the other, and checks how long the next must wait.
func TestDelays(t *testing.T) {
	server := testkit.NewRedis(t)
	cfg := cache.Defaults()
	cfg.Addr, cfg.Username, cfg.Password = server.Addr, server.Username, config.Secret(server.Password)
	client := cache.Open(cfg)
	t.Cleanup(func() { client.Close() })
	limitsOf := func() throttle.Limits { return newLimits(10) }
	for i, a := range []user.Attempt{{Account: "ada@example.org", IP: "192.0.2.1"}, {Account: "ada@example.org", DeviceID: "d1"}, {Account: "ada@example.org", SessionID: "s1"}} {
		t.Run([]string{"unknown device", "known device", "session"}[i], func(t *testing.T) {
			// Each attempt is made by another process, so that only Redis knows of those before.
			count := func() time.Duration {
				return throttle.New(client, server.Prefix, limitsOf, zap.NewNop()).CountAttempt(t.Context(), a)
			}
			for n := range 5 {
				if wait := count(); wait != 0 {
					t.Fatalf("attempt %d waits %v", n+1, wait)
				}
			}
			if wait := count(); wait <= 0 || wait > 5*time.Minute {
				t.Errorf("after five failures the wait is %v, want up to 5 min", wait)
			}
			throttle.New(client, server.Prefix, limitsOf, zap.NewNop()).RecordSuccess(t.Context(), a)
			if wait := count(); wait != 0 {
				t.Errorf("an attempt that succeeded counts: wait %v", wait)
			}
		})
	}
}

// TestWindowEnds uses a limit up and asks until an attempt is allowed again. Being refused does not prolong the wait.
func TestWindowEnds(t *testing.T) {
	server := testkit.NewRedis(t)
	cfg := cache.Defaults()
	cfg.Addr, cfg.Username, cfg.Password = server.Addr, server.Username, config.Secret(server.Password)
	client := cache.Open(cfg)
	t.Cleanup(func() { client.Close() })
	limits := newLimits(1)
	limits.Window = time.Second
	ada := user.Attempt{Account: "ada@example.org", IP: "192.0.2.1"}
	newThrottle := func() *throttle.Throttle {
		return throttle.New(client, server.Prefix, func() throttle.Limits { return limits }, zap.NewNop())
	}
	first := newThrottle()
	if wait := first.CountAttempt(t.Context(), ada); wait != 0 {
		t.Errorf("the first attempt waits %v", wait)
	}
	for _, counter := range []struct {
		name     string
		throttle *throttle.Throttle
	}{{"memory", first}, {"another process", newThrottle()}} {
		testkit.Eventually(t, counter.name+": the end of the window", func() error {
			if wait := counter.throttle.CountAttempt(t.Context(), ada); wait != 0 {
				return fmt.Errorf("the wait is %v", wait)
			}
			return nil
		})
	}
}
