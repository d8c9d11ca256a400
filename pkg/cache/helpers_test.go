package cache_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pgo/pkg/cache"
	"pgo/pkg/config"
	"pgo/pkg/problem"
	"pgo/pkg/testing/testkit"
)

type row struct {
	Name string `json:"name"`
}

// corner is a test's part of a Redis: a cache as a program has it, and a client that looks at what is there.
type corner struct {
	*cache.Cache
	server testkit.RedisServer
	redis  *redis.Client
	asked  *counter // of the reads that the cache sent to Redis
	reg    *prometheus.Registry
	logs   *observer.ObservedLogs
}

func settings(s testkit.RedisServer) cache.Config {
	cfg := cache.Defaults()
	cfg.Addr, cfg.Username, cfg.Password, cfg.Prefix = s.Addr, s.Username, config.Secret(s.Password), s.Prefix
	cfg.Timeout = 10 * time.Second // a busy machine must not look like an unavailable Redis
	return cfg
}

func newCorner(t testing.TB, change func(*cache.Config)) corner {
	t.Helper()
	return on(t, testkit.NewRedis(t), change)
}

// on returns another program's view of server.
func on(t testing.TB, server testkit.RedisServer, change func(*cache.Config)) corner {
	t.Helper()
	cfg := settings(server)
	look := cache.Open(cfg)
	if change != nil {
		change(&cfg)
	}
	client := cache.Open(cfg)
	t.Cleanup(func() { client.Close(); look.Close() })
	asked := &counter{}
	client.AddHook(asked)
	core, logs := observer.New(zap.DebugLevel)
	reg := prometheus.NewRegistry()
	return corner{cache.New(client, cfg, reg, zap.New(core)), server, look, asked, reg, logs}
}

// reads returns how many reads had each result.
func (c corner) reads(t testing.TB) map[string]int {
	t.Helper()
	counts, err := c.counts()
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// counts is reads for a goroutine that must not end the test.
func (c corner) counts() (map[string]int, error) {
	families, err := c.reg.Gather()
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, m := range families[0].GetMetric() {
		if n := int(m.GetCounter().GetValue()); n > 0 {
			counts[m.GetLabel()[0].GetValue()] = n
		}
	}
	return counts, nil
}

// source is a row in a database, and how often it was read.
type source struct {
	name    string
	version int64
	err     error
	loads   atomic.Int32
}

func (s *source) load(context.Context) (row, int64, error) {
	s.loads.Add(1)
	return row{s.name}, s.version, s.err
}

// fetch reads key and expects the name, or not_found for "".
func (c corner) fetch(t testing.TB, key string, load func(context.Context) (row, int64, error), want string) {
	t.Helper()
	got, err := cache.Fetch(context.Background(), c.Cache, key, load)
	if want == "" {
		if !errors.Is(err, problem.NotFound()) {
			t.Errorf("%s: got %v, %v, want not_found", key, got, err)
		}
		return
	}
	if err != nil || got.Name != want {
		t.Errorf("%s: got %v, %v, want %s", key, got, err, want)
	}
}

// unwanted is a load that must not happen.
func unwanted(t testing.TB) func(context.Context) (row, int64, error) {
	return func(context.Context) (row, int64, error) {
		t.Error("the database was asked")
		return row{"unwanted"}, 0, nil
	}
}

func (c corner) life(t testing.TB, key string) time.Duration {
	t.Helper()
	d, err := c.redis.PTTL(context.Background(), c.server.Prefix+key).Result()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// counter counts the reads that a client sends.
type counter struct{ n atomic.Int32 }

func (c *counter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "hget" {
			c.n.Add(1)
		}
		return next(ctx, cmd)
	}
}
