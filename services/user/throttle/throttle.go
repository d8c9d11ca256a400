// Package throttle counts failed sign-ins in Redis, and in memory while Redis is unavailable.
package throttle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"pgo/pkg/logging"
)

// Limits holds the numbers of failures that are allowed within the window. The limit of an account is much larger than
// that of a pair, so that a client cannot easily lock out an account's owner at another address.
type Limits struct {
	Window  time.Duration `config:"window"`
	Pair    int           `config:"pair"`    // by one address on one account
	Account int           `config:"account"` // by all addresses on one account
	Address int           `config:"address"` // by one address on all accounts
}

// Throttle implements user.Throttle, and prometheus.Collector for its metrics. It is safe for concurrent use.
type Throttle struct {
	redis    *redis.Client
	prefix   string
	limits   func() Limits
	log      *zap.Logger
	memory   *memoryCounters
	attempts *prometheus.CounterVec

	retryAt atomic.Int64 // when the next attempt asks Redis again, in Unix nanoseconds; 0 while Redis answers
}

// coolDown is the time during which attempts do not ask a Redis that did not answer.
const coolDown = time.Second

// New returns a throttle whose keys start with prefix.
func New(client *redis.Client, prefix string, limits func() Limits, log *zap.Logger) *Throttle {
	return &Throttle{redis: client, prefix: prefix + "throttle:", limits: limits, log: log, memory: &memoryCounters{windows: map[string]window{}}, attempts: newAttemptsMetric()}
}

// limitedKey is one of the three keys under which an attempt is counted, and its limit.
type limitedKey struct {
	key   string
	limit int
}

// countersFor returns the keys of an attempt. They contain hashes, since the keys of a cache must not contain e-mail
// addresses.
func (t *Throttle) countersFor(email, ip string, l Limits) [3]limitedKey {
	ip = networkOf(ip)
	return [3]limitedKey{{t.keyFor("pair", email, ip), l.Pair}, {t.keyFor("account", email), l.Account}, {t.keyFor("address", ip), l.Address}}
}

// networkOf returns the network of one client: an IPv4 address, or the /64 of an IPv6 address, in which a client can have
// any number of addresses.
func networkOf(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil || a.Unmap().Is4() {
		return ip
	}
	p, err := a.Prefix(64)
	if err != nil {
		return ip
	}
	return p.String()
}

func (t *Throttle) keyFor(kind string, parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return t.prefix + kind + ":" + hex.EncodeToString(h.Sum(nil)[:16])
}

// countUp adds one to each key and starts the window of a new key, unless a key has reached its limit. Then it counts
// nothing, so that refused guesses from one address do not lock the account for all clients. It returns the milliseconds
// to wait, 0 if the attempt was counted.
var countUp = redis.NewScript(`
local wait = 0
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[i+1]) then
    if redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, ARGV[1]) end
    wait = math.max(wait, redis.call('PTTL', key), 1)
  end
end
if wait > 0 then return wait end
for _, key in ipairs(KEYS) do
  redis.call('INCR', key)
  if redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, ARGV[1]) end
end
return 0`)

// undoCount removes the first key and subtracts one from the others.
var undoCount = redis.NewScript(`
redis.call('DEL', KEYS[1])
for i = 2, #KEYS do
  if tonumber(redis.call('GET', KEYS[i]) or '0') > 0 then redis.call('DECR', KEYS[i]) end
end
return 1`)

// CountAttempt implements user.Throttle.
func (t *Throttle) CountAttempt(ctx context.Context, email, ip string) time.Duration {
	l := t.limits()
	counters := t.countersFor(email, ip, l)
	if t.shouldAskRedis() {
		wait, err := countUp.Run(ctx, t.redis, keysOf(counters), l.Window.Milliseconds(), l.Pair, l.Account, l.Address).Int64()
		t.recordAnswer(ctx, err)
		if err == nil {
			return t.recordAttempt("redis", time.Duration(wait)*time.Millisecond)
		}
	}
	return t.recordAttempt("memory", t.memory.countAttempt(counters, l.Window))
}

// RecordSuccess implements user.Throttle.
func (t *Throttle) RecordSuccess(ctx context.Context, email, ip string) {
	counters := t.countersFor(email, ip, t.limits())
	t.memory.recordSuccess(counters)
	if t.shouldAskRedis() {
		t.recordAnswer(ctx, undoCount.Run(ctx, t.redis, keysOf(counters)).Err())
	}
}

// shouldAskRedis reports whether to ask Redis. While Redis does not answer, one attempt asks after each cool-down.
func (t *Throttle) shouldAskRedis() bool {
	at, now := t.retryAt.Load(), time.Now()
	return at == 0 || now.UnixNano() >= at && t.retryAt.CompareAndSwap(at, now.Add(coolDown).UnixNano())
}

// recordAnswer records whether Redis answered, and logs the first failure.
func (t *Throttle) recordAnswer(ctx context.Context, err error) {
	switch {
	case err == nil:
		t.retryAt.Store(0)
	case ctx.Err() != nil: // the caller cancelled, so the error is not about Redis
	case t.retryAt.Swap(time.Now().Add(coolDown).UnixNano()) == 0:
		logging.FromContext(ctx, t.log).Warn("Redis does not answer, counting sign-ins in memory", zap.Error(err))
	}
}

func keysOf(counters [3]limitedKey) []string {
	return []string{counters[0].key, counters[1].key, counters[2].key}
}

// maxMemoryCounters limits the memory that an attack can use while Redis is unavailable. Beyond it counting starts again.
const maxMemoryCounters = 100_000

// memoryCounters count attempts in this process alone.
type memoryCounters struct {
	mu      sync.Mutex
	windows map[string]window
}

type window struct {
	attempts int
	endsAt   time.Time
}

func (l *memoryCounters) countAttempt(counters [3]limitedKey, length time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if len(l.windows) > maxMemoryCounters {
		l.dropExpired(now)
	}
	var wait time.Duration
	for _, c := range counters {
		if w := l.windows[c.key]; w.attempts >= c.limit && now.Before(w.endsAt) {
			wait = max(wait, w.endsAt.Sub(now))
		}
	}
	if wait > 0 {
		return wait // the attempt is not counted, as in countUp
	}
	for _, c := range counters {
		w := l.windows[c.key]
		if !now.Before(w.endsAt) {
			w = window{endsAt: now.Add(length)}
		}
		w.attempts++
		l.windows[c.key] = w
	}
	return 0
}

func (l *memoryCounters) recordSuccess(counters [3]limitedKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.windows, counters[0].key)
	for _, c := range counters[1:] {
		if w, ok := l.windows[c.key]; ok && w.attempts > 0 {
			w.attempts--
			l.windows[c.key] = w
		}
	}
}

// dropExpired removes windows that have ended, or all if the limit is still exceeded.
func (l *memoryCounters) dropExpired(now time.Time) {
	for k, w := range l.windows {
		if now.After(w.endsAt) {
			delete(l.windows, k)
		}
	}
	if len(l.windows) > maxMemoryCounters {
		clear(l.windows)
	}
}
