package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"pgo/pkg/cache"
	"pgo/pkg/config"
	"pgo/pkg/testing/testkit"
)

// linked is a corner whose Redis can be cut off.
func linked(t testing.TB, timeout time.Duration) (corner, *testkit.Link) {
	server := testkit.NewRedis(t)
	link := testkit.NewLink(t, server.Addr)
	return on(t, server, func(cfg *cache.Config) { cfg.Addr, cfg.Timeout = link.Addr(), timeout }), link
}

// answers waits until the cache asks Redis again.
func (c corner) answers(t testing.TB) {
	t.Helper()
	s := &source{name: "a", version: 1}
	testkit.Eventually(t, "the cache is used again", func() error {
		before := c.reads(t)["hit"]
		c.fetch(t, "probe", s.load, "a")
		if c.reads(t)["hit"] == before {
			return errors.New("no hit")
		}
		return nil
	})
}

func TestFetchWithoutRedis(t *testing.T) {
	c, link := linked(t, time.Second)
	s := &source{name: "a", version: 1}
	c.fetch(t, "k", s.load, "a")
	link.Cut()
	s.name, s.version = "b", 2
	for range 20 {
		c.fetch(t, "k", s.load, "b")
	}
	if n := s.loads.Load(); n != 21 {
		t.Errorf("%d loads", n)
	}
	if n := c.logs.FilterLevelExact(zap.WarnLevel).Len(); n != 1 {
		t.Errorf("%d warnings, want one: %v", n, c.logs.All())
	}
	link.Restore()
	c.answers(t)
	if n := c.logs.FilterMessage("Redis answers again").Len(); n != 1 {
		t.Errorf("log: %v", c.logs.All())
	}
}

func TestSlowRedisIsTriedOnceInACoolDown(t *testing.T) {
	c, link := linked(t, 100*time.Millisecond)
	s := &source{name: "a", version: 1}
	c.fetch(t, "k", s.load, "a")
	link.SetLatency(30 * time.Second)
	c.asked.n.Store(0)
	began := time.Now()
	c.fetch(t, "k", s.load, "a") // finds out
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			for c.asked.n.Load() < 3 && time.Since(began) < 30*time.Second {
				c.fetch(t, fmt.Sprint(i), s.load, "a")
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	if n := c.asked.n.Load(); n != 3 || took < 2*time.Second { // one a second
		t.Errorf("Redis was asked %d times in %v, by %v reads", n, took, s.loads.Load())
	}
	link.SetLatency(0)
	c.answers(t)
}

func TestCancelledReaderDoesNotMarkRedisUnavailable(t *testing.T) {
	c, link := linked(t, 5*time.Second)
	s := &source{name: "a", version: 1}
	c.fetch(t, "k", s.load, "a")
	link.SetLatency(300 * time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if _, err := cache.Fetch(ctx, c.Cache, "k", unwanted(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	link.SetLatency(0)
	c.fetch(t, "k", unwanted(t), "a")
}

func TestMissedChangesAreReadFromTheDatabase(t *testing.T) {
	for name, change := range map[string]struct {
		do   func(corner)
		want string
	}{
		"changed": {func(c corner) { cache.Put(context.Background(), c.Cache, "k", 2, row{"new"}) }, "new"},
		"deleted": {func(c corner) { c.Delete(context.Background(), "k") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, link := linked(t, time.Second)
			c.fetch(t, "k", (&source{name: "old", version: 1}).load, "old")
			link.Cut()
			change.do(c)
			link.Restore()
			c.answers(t)
			if got, err := c.redis.HGet(context.Background(), c.server.Prefix+"k", "e").Result(); err != nil || got != `{"value":{"name":"old"}}` {
				t.Fatalf("Redis has %s, %v: not what this test is about", got, err)
			}
			c.fetch(t, "k", (&source{name: "new", version: 2}).load, "new")
			bypassed := c.reads(t)["bypass"]
			cache.Put(context.Background(), c.Cache, "k", 3, row{"newest"})
			c.fetch(t, "k", unwanted(t), "newest")
			if n := c.reads(t)["bypass"]; n != bypassed {
				t.Error("the key is still bypassed after a change that Redis took")
			}
		})
	}
}

func TestTooManyMissedChangesBypassRedis(t *testing.T) {
	c, link := linked(t, time.Second)
	ctx := context.Background()
	const last = "10001"
	c.fetch(t, last, (&source{name: "old", version: 1}).load, "old")
	link.Cut()
	for i := range 10_002 {
		cache.Put(ctx, c.Cache, fmt.Sprint(i), 2, row{"new"})
	}
	link.Restore()
	testkit.Eventually(t, "Redis is there again", func() error { return on(t, c.server, nil).redis.Ping(ctx).Err() })
	c.fetch(t, last, (&source{name: "new", version: 2}).load, "new")
}

func TestLeastPrivilege(t *testing.T) {
	ctx := context.Background()
	server := testkit.NewRedis(t)
	admin := cache.Open(settings(server))
	defer admin.Close()
	account := server.Prefix[:len(server.Prefix)-1]
	// As bootcheck makes a service's account.
	rules := []any{"ACL", "SETUSER", account, "reset", "on", ">pw-of-the-test", "~" + server.Prefix + "*", "&" + server.Prefix + "*",
		"+@all", "-@dangerous", "-@admin", "-scan", "-randomkey", "-dbsize", "-function", "-script", "+script|load", "+script|exists", "-pubsub"}
	if err := admin.Do(ctx, rules...).Err(); err != nil {
		t.Fatal(err)
	}
	defer admin.Do(ctx, "ACL", "DELUSER", account)
	c := on(t, server, func(cfg *cache.Config) { cfg.Username, cfg.Password = account, config.Secret("pw-of-the-test") })
	if err := admin.ScriptFlush(ctx).Err(); err != nil { // the script must be sent whole
		t.Fatal(err)
	}
	c.fetch(t, "k", (&source{name: "a", version: 1}).load, "a")
	c.fetch(t, "k", unwanted(t), "a")
	cache.Put(ctx, c.Cache, "k", 2, row{"b"})
	c.fetch(t, "k", unwanted(t), "b")
	c.Delete(ctx, "k")
	c.fetch(t, "k", unwanted(t), "")
	if c.logs.Len() != 0 {
		t.Errorf("log: %v", c.logs.All())
	}

	cfg := settings(server)
	cfg.Username, cfg.Password = account, "pw-of-the-test"
	own := cache.Open(cfg)
	defer own.Close()
	if err := cache.NewPingCheck(own)(ctx); err != nil {
		t.Errorf("ping: %v", err)
	}
	if err := own.Get(ctx, "other:k").Err(); !redis.HasErrorPrefix(err, "NOPERM") {
		t.Errorf("another service's key: %v", err)
	}
	strays := on(t, server, func(cfg *cache.Config) {
		cfg.Username, cfg.Password, cfg.Prefix = account, "pw-of-the-test", "other:"
	})
	strays.fetch(t, "k", (&source{name: "a", version: 1}).load, "a") // a wrong prefix is no reason to fail
	if strays.logs.FilterLevelExact(zap.WarnLevel).Len() == 0 {
		t.Error("a wrong prefix is not in the log")
	}
}
