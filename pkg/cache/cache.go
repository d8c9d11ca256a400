// Package cache keeps rows that are read often in Redis, beside the database (cache-aside).
//
// An entry carries its row's version, and an older version never replaces a newer one: a reader that loaded
// the row before a change cannot bring the old one back. While Redis is away everything is read from the
// database. What can be stale, and for how long: a change whose write to Redis failed is stale for other
// processes until the entry's time is over; the process that made the change does not see it.
package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"pgo/pkg/logging"
	"pgo/pkg/problem"
)

const (
	missTTL     = 5 * time.Second  // how long it is remembered that a row does not exist
	coolDown    = time.Second      // after a failure Redis is not asked for so long
	loadTimeout = 10 * time.Second // for one load from the database, whoever waits for it
	maxSuspect  = 10_000           // keys whose entry in Redis may be stale
)

// Gone is the version of a deleted row: nothing is newer.
const Gone = int64(1) << 62

// Cache is a service's entries in Redis. It is safe for concurrent use.
type Cache struct {
	redis  *redis.Client
	prefix string
	ttl    time.Duration
	log    *zap.Logger
	reads  *prometheus.CounterVec

	loads     singleflight.Group
	awayUntil atomic.Int64 // Unix nanoseconds

	mu      sync.Mutex
	suspect map[string]time.Time // keys not to be read from Redis until then: writing them failed
}

// New returns a cache on client.
func New(client *redis.Client, cfg Config, reg prometheus.Registerer, log *zap.Logger) *Cache {
	c := &Cache{
		redis: client, prefix: cfg.Prefix, ttl: cfg.TTL, log: log, suspect: map[string]time.Time{},
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pgo_cache_reads_total", Help: "Reads through the cache by result: hit, miss or bypass (Redis away)."}, []string{"result"}),
	}
	reg.MustRegister(c.reads)
	return c
}

// entry is what is stored in a hash's field e; its field v is the row's version.
type entry[T any] struct {
	Missing bool `json:"missing,omitempty"` // the row does not exist
	Value   T    `json:"value"`
}

// put sets KEYS[1] to ARGV[2] for ARGV[3] milliseconds unless what is there has a newer version than ARGV[1].
var put = redis.NewScript(`
local old = redis.call('HGET', KEYS[1], 'v')
if old and tonumber(old) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'v', ARGV[1], 'e', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`)

// Fetch returns the value at key, from Redis or else by load, which returns it with its version; many who ask
// at once cause one load. A load that returns a not_found problem is remembered for some seconds. The value
// must survive JSON. Errors are load's own: Redis never causes one.
func Fetch[T any](ctx context.Context, c *Cache, key string, load func(context.Context) (T, int64, error)) (T, error) {
	if e, ok := get[T](ctx, c, key); ok {
		if e.Missing {
			return e.Value, problem.NotFound()
		}
		return e.Value, nil
	}
	// The load serves all who wait, so it does not end when the first of them goes away.
	result := c.loads.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		value, version, err := load(ctx)
		switch {
		case c.away():
		case err == nil:
			c.set(ctx, key, version, entry[T]{Value: value}, c.ttl)
		case errors.Is(err, problem.NotFound()):
			c.set(ctx, key, 0, entry[T]{Missing: true}, missTTL)
		}
		return value, err
	})
	var zero T
	select {
	case <-ctx.Done():
		return zero, fmt.Errorf("wait for %s: %w", key, ctx.Err())
	case r := <-result:
		if r.Err != nil {
			return zero, r.Err
		}
		return r.Val.(T), nil
	}
}

// Put stores a value that was just committed.
func Put[T any](ctx context.Context, c *Cache, key string, version int64, value T) {
	c.replace(ctx, key, version, entry[T]{Value: value})
}

// Delete records that the row was just deleted.
func (c *Cache) Delete(ctx context.Context, key string) {
	c.replace(ctx, key, Gone, entry[struct{}]{Missing: true})
}

// replace writes also during the cool-down and after the caller has gone: a change that Redis does not learn
// of leaves a stale entry behind.
func (c *Cache) replace(ctx context.Context, key string, version int64, e any) {
	c.loads.Forget(key) // a load under way may have read the old row; who comes from now on reads anew
	if c.set(context.WithoutCancel(ctx), key, version, e, c.ttl) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if len(c.suspect) >= maxSuspect {
		for k, until := range c.suspect {
			if now.After(until) {
				delete(c.suspect, k)
			}
		}
	}
	if len(c.suspect) < maxSuspect {
		c.suspect[key] = now.Add(2 * c.ttl)
	}
}

func (c *Cache) isSuspect(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	until, ok := c.suspect[key]
	if ok && time.Now().After(until) {
		delete(c.suspect, key)
		return false
	}
	return ok
}

func (c *Cache) away() bool { return time.Now().UnixNano() < c.awayUntil.Load() }

func get[T any](ctx context.Context, c *Cache, key string) (entry[T], bool) {
	var e entry[T]
	if c.away() || c.isSuspect(key) {
		c.reads.WithLabelValues("bypass").Inc()
		return e, false
	}
	text, err := c.redis.HGet(ctx, c.prefix+key, "e").Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		c.reads.WithLabelValues("miss").Inc()
		return e, false
	case err != nil:
		c.failed(ctx, "read", err)
		c.reads.WithLabelValues("bypass").Inc()
		return e, false
	}
	if err := json.Unmarshal(text, &e); err != nil { // written by another version of the program
		c.reads.WithLabelValues("miss").Inc()
		return entry[T]{}, false
	}
	c.reads.WithLabelValues("hit").Inc()
	return e, true
}

// set reports whether Redis took the entry, or had a newer one.
func (c *Cache) set(ctx context.Context, key string, version int64, e any, ttl time.Duration) bool {
	text, err := json.Marshal(e)
	if err != nil {
		logging.From(ctx, c.log).Error("encode a cache entry", zap.String("key", key), zap.Error(err))
		return false
	}
	jittered := ttl - ttl/10 + rand.N(ttl/5) // entries made together do not all end together
	if err := put.Run(ctx, c.redis, []string{c.prefix + key}, version, text, jittered.Milliseconds()).Err(); err != nil {
		c.failed(ctx, "write", err)
		return false
	}
	return true
}

func (c *Cache) failed(ctx context.Context, doing string, err error) {
	if errors.Is(err, context.Canceled) {
		return // the caller went away; that says nothing about Redis
	}
	if c.awayUntil.Swap(time.Now().Add(coolDown).UnixNano()) < time.Now().UnixNano() {
		logging.From(ctx, c.log).Warn("Redis does not answer, reading from the database", zap.String("doing", doing), zap.Error(err))
	}
}
