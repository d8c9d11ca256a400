// Package cache keeps rows that are read often in Redis, beside the database (cache-aside).
//
// An entry carries its row's version, and an older version never replaces a newer one: a reader that loaded the row before a
// change cannot bring the old one back. While Redis is unavailable, everything is read from the database. A row that took
// more than half of an entry's life to load is not stored: the newer entry that would keep it out may have expired. An entry
// can be stale in one case: after a change whose write to Redis failed, other processes read the old row until its entry
// expires. The process that made the change does not.
package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime/debug"
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
	missTTL     = 5 * time.Second  // life of an entry that a row does not exist
	coolDown    = time.Second      // after a failure, one reader in each such period tries Redis again
	loadTimeout = 10 * time.Second // for one load from the database, shared by all who wait for it
	maxSuspect  = 10_000           // keys whose entry in Redis may be stale
)

// DeletedVersion is the version of a deleted row. No version is newer.
const DeletedVersion = int64(1) << 62

// Cache stores a service's entries in Redis. It is safe for concurrent use.
type Cache struct {
	redis  *redis.Client
	prefix string
	ttl    time.Duration
	log    *zap.Logger
	reads  *prometheus.CounterVec

	loads   singleflight.Group
	retryAt atomic.Int64 // when one reader tries Redis again, in Unix nanoseconds; 0 while Redis answers

	mu           sync.Mutex
	suspectKeys  map[string]time.Time // keys not to read from Redis until this time: writing them failed
	suspectUntil time.Time            // the same for every key, if there were too many
}

// New returns a cache on client, with the metrics of both in reg.
func New(client *redis.Client, cfg Config, reg prometheus.Registerer, log *zap.Logger) *Cache {
	c := &Cache{
		redis: client, prefix: cfg.Prefix, ttl: cfg.TTL, log: log, suspectKeys: map[string]time.Time{},
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pgo_cache_reads_total", Help: "Reads through the cache by result: hit, miss or bypass (Redis unavailable)."}, []string{"result"}),
	}
	for _, result := range []string{"hit", "miss", "bypass"} {
		c.reads.WithLabelValues(result) // a counter that starts at 0 shows its first increase
	}
	reg.MustRegister(c.reads, newPoolCollector(client))
	return c
}

// entry is the JSON in a hash's field e. The hash's field v is the row's version.
type entry[T any] struct {
	Missing bool `json:"missing,omitempty"` // the row does not exist
	Value   T    `json:"value"`
}

// missingEntry is the entry of a row of any type that does not exist.
type missingEntry struct {
	Missing bool `json:"missing"`
}

// putScript sets KEYS[1] to ARGV[2] for ARGV[3] milliseconds unless it holds a version newer than ARGV[1]. It replaces
// anything that is not an entry.
var putScript = redis.NewScript(`
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
local old = tonumber(redis.call('HGET', KEYS[1], 'v') or '')
if old and old > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'v', ARGV[1], 'e', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`)

// Fetch returns the value at key, from Redis or otherwise from load, which returns it with its version. Concurrent callers
// share one load and its value, so they must not change it. A not_found problem of load is remembered for some seconds. The
// value must survive JSON, and one key always has one T: a release that changes the meaning of T changes the key too. Errors
// are load's or ctx's: Redis never causes one.
func Fetch[T any](ctx context.Context, c *Cache, key string, load func(context.Context) (T, int64, error)) (T, error) {
	var zero T
	if e, ok := readEntry[T](ctx, c, key); ok {
		if e.Missing {
			return zero, problem.NotFound()
		}
		return e.Value, nil
	}
	if err := contextError(ctx); err != nil {
		return zero, fmt.Errorf("read %s: %w", key, err)
	}
	// The load serves all who wait, so it goes on when the first of them leaves.
	result := c.loads.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		return loadInto(ctx, c, key, load)
	})
	select {
	case <-ctx.Done():
		return zero, fmt.Errorf("wait for %s: %w", key, ctx.Err())
	case r := <-result:
		value, _ := r.Val.(T) // a nil interface becomes the zero T
		return value, r.Err
	}
}

// loadInto loads the value and stores it.
func loadInto[T any](ctx context.Context, c *Cache, key string, load func(context.Context) (T, int64, error)) (value T, err error) {
	defer func() { // it runs in a goroutine of its own, where a panic would end the program
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while loading %s: %v\n%s", key, p, debug.Stack())
		}
	}()
	began := time.Now()
	value, version, err := load(ctx)
	switch {
	case c.retryAt.Load() != 0, time.Since(began) > c.ttl/2:
	case err == nil:
		c.storeEntry(ctx, key, version, entry[T]{Value: value}, c.ttl)
	case errors.Is(err, problem.NotFound()):
		c.storeEntry(ctx, key, 0, missingEntry{true}, min(missTTL, c.ttl))
	}
	return value, err
}

// Put stores a value after its commit.
func Put[T any](ctx context.Context, c *Cache, key string, version int64, value T) {
	c.storeChange(ctx, key, version, entry[T]{Value: value})
}

// Delete stores that the row was deleted, after the commit.
func (c *Cache) Delete(ctx context.Context, key string) {
	c.storeChange(ctx, key, DeletedVersion, missingEntry{true})
}

// storeChange writes also during the cool-down and after the caller has left: a change that does not reach Redis leaves a
// stale entry.
func (c *Cache) storeChange(ctx context.Context, key string, version int64, e any) {
	c.loads.Forget(key) // a load under way may have read the old row; later callers load again
	stored := c.storeEntry(context.WithoutCancel(ctx), key, version, e, c.ttl)
	c.mu.Lock()
	defer c.mu.Unlock()
	if stored {
		delete(c.suspectKeys, key)
		return
	}
	now := time.Now()
	until := now.Add(2 * c.ttl) // the entry's life, and as much for one that was being written meanwhile
	if len(c.suspectKeys) >= maxSuspect {
		maps.DeleteFunc(c.suspectKeys, func(_ string, until time.Time) bool { return now.After(until) })
	}
	if len(c.suspectKeys) >= maxSuspect {
		c.suspectUntil = until
		return
	}
	c.suspectKeys[key] = until
}

func (c *Cache) isSuspect(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	until, ok := c.suspectKeys[key]
	if ok && now.After(until) {
		delete(c.suspectKeys, key)
		ok = false
	}
	return ok || now.Before(c.suspectUntil)
}

// mayAskRedis reports whether a reader may try Redis: while it does not answer, one reader does after each cool-down, and
// the others do not wait for its result.
func (c *Cache) mayAskRedis() bool {
	at, now := c.retryAt.Load(), time.Now()
	return at == 0 || now.UnixNano() >= at && c.retryAt.CompareAndSwap(at, now.Add(coolDown).UnixNano())
}

// recordAnswer records that Redis answered.
func (c *Cache) recordAnswer(ctx context.Context) {
	if c.retryAt.Load() != 0 && c.retryAt.Swap(0) != 0 {
		logging.FromContext(ctx, c.log).Info("Redis answers again")
	}
}

func readEntry[T any](ctx context.Context, c *Cache, key string) (entry[T], bool) {
	var e entry[T]
	if c.isSuspect(key) || !c.mayAskRedis() {
		c.reads.WithLabelValues("bypass").Inc()
		return e, false
	}
	text, err := c.redis.HGet(ctx, c.prefix+key, "e").Bytes()
	switch {
	case errors.Is(err, redis.Nil), redis.HasErrorPrefix(err, "WRONGTYPE"): // no entry, or something else
		c.recordAnswer(ctx)
		c.reads.WithLabelValues("miss").Inc()
		return e, false
	case err != nil:
		c.recordFailure(ctx, "read", err)
		c.reads.WithLabelValues("bypass").Inc()
		return e, false
	}
	c.recordAnswer(ctx)
	if err := json.Unmarshal(text, &e); err != nil { // written by another version of the program
		c.reads.WithLabelValues("miss").Inc()
		return entry[T]{}, false
	}
	c.reads.WithLabelValues("hit").Inc()
	return e, true
}

// storeEntry reports whether Redis stored the entry or has a newer one.
func (c *Cache) storeEntry(ctx context.Context, key string, version int64, e any, ttl time.Duration) bool {
	text, err := json.Marshal(e)
	if err != nil {
		logging.FromContext(ctx, c.log).Error("encode a cache entry", zap.String("key", key), zap.Error(err))
		return false
	}
	jittered := ttl - ttl/10 + rand.N(ttl/5) // entries that are made together expire apart
	if err := putScript.Run(ctx, c.redis, []string{c.prefix + key}, version, text, jittered.Milliseconds()).Err(); err != nil {
		c.recordFailure(ctx, "write", err)
		return false
	}
	c.recordAnswer(ctx)
	return true
}

func (c *Cache) recordFailure(ctx context.Context, doing string, err error) {
	if contextError(ctx) != nil {
		return // the caller's time is over, which is no failure of Redis
	}
	if c.retryAt.Swap(time.Now().Add(coolDown).UnixNano()) == 0 {
		logging.FromContext(ctx, c.log).Warn("Redis does not answer, reading from the database", zap.String("doing", doing), zap.Error(err))
	}
}

// contextError returns ctx.Err, and DeadlineExceeded also in the moment between the deadline and its timer: a connection
// with the same deadline fails in that moment.
func contextError(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}
