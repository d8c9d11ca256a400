// Package throttle counts failed sign-ins in Redis, and in memory while Redis is away.
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

// Limits says how many failures are allowed within the window. Nobody can lock somebody else out from
// another address before the account's own, much larger limit is reached.
type Limits struct {
	Window  time.Duration `config:"window"`
	Pair    int           `config:"pair"`    // by one address on one account
	Account int           `config:"account"` // by all addresses on one account
	Address int           `config:"address"` // by one address on all accounts
}

// Throttle implements user.Throttle, and is a prometheus.Collector of its own metrics. Safe for concurrent use.
type Throttle struct {
	redis  *redis.Client
	prefix string
	limits func() Limits
	log    *zap.Logger
	local  *local
	counts *prometheus.CounterVec

	retryAt atomic.Int64 // when one attempt asks Redis again, in Unix nanoseconds; 0 while it answers
}

// coolDown is for how long nobody waits for a Redis that did not answer.
const coolDown = time.Second

// New returns a throttle whose keys start with prefix.
func New(client *redis.Client, prefix string, limits func() Limits, log *zap.Logger) *Throttle {
	return &Throttle{redis: client, prefix: prefix + "throttle:", limits: limits, log: log, local: &local{counts: map[string]count{}}, counts: newCounts()}
}

// counter is one of the three counts of an attempt.
type counter struct {
	key   string
	limit int
}

// counters names accounts and addresses by hash: keys of a cache are no place for e-mail addresses.
func (t *Throttle) counters(email, ip string, l Limits) [3]counter {
	ip = network(ip)
	return [3]counter{{t.key("pair", email, ip), l.Pair}, {t.key("account", email), l.Account}, {t.key("address", ip), l.Address}}
}

// network is what one client has: an IPv4 address, or the /64 of an IPv6 address, in which it has as many as it
// likes.
func network(ip string) string {
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

func (t *Throttle) key(kind string, parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return t.prefix + kind + ":" + hex.EncodeToString(h.Sum(nil)[:16])
}

// countUp adds one to each key and starts the window of a new one, unless a key has reached its limit: then it
// counts nothing, so that guesses which are refused on one account and address do not add up to a lock of the
// account for everybody. It returns the milliseconds to wait, 0 when the attempt was counted.
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

// takeBack removes the first key and subtracts one from the others.
var takeBack = redis.NewScript(`
redis.call('DEL', KEYS[1])
for i = 2, #KEYS do
  if tonumber(redis.call('GET', KEYS[i]) or '0') > 0 then redis.call('DECR', KEYS[i]) end
end
return 1`)

// Attempt implements user.Throttle.
func (t *Throttle) Attempt(ctx context.Context, email, ip string) time.Duration {
	l := t.limits()
	counters := t.counters(email, ip, l)
	if t.ask() {
		wait, err := countUp.Run(ctx, t.redis, keys(counters), l.Window.Milliseconds(), l.Pair, l.Account, l.Address).Int64()
		t.learn(ctx, err)
		if err == nil {
			return t.counted("redis", time.Duration(wait)*time.Millisecond)
		}
	}
	return t.counted("memory", t.local.attempt(counters, l.Window))
}

// Succeeded implements user.Throttle.
func (t *Throttle) Succeeded(ctx context.Context, email, ip string) {
	counters := t.counters(email, ip, t.limits())
	t.local.succeeded(counters)
	if t.ask() {
		t.learn(ctx, takeBack.Run(ctx, t.redis, keys(counters)).Err())
	}
}

// ask reports whether to ask Redis: while it does not answer, one does each time the cool-down is over.
func (t *Throttle) ask() bool {
	at, now := t.retryAt.Load(), time.Now()
	return at == 0 || now.UnixNano() >= at && t.retryAt.CompareAndSwap(at, now.Add(coolDown).UnixNano())
}

// learn notes whether Redis answered.
func (t *Throttle) learn(ctx context.Context, err error) {
	switch {
	case err == nil:
		t.retryAt.Store(0)
	case ctx.Err() != nil: // the caller has gone, which says nothing about Redis
	case t.retryAt.Swap(time.Now().Add(coolDown).UnixNano()) == 0:
		logging.From(ctx, t.log).Warn("Redis does not answer, counting sign-ins in memory", zap.Error(err))
	}
}

func keys(counters [3]counter) []string {
	return []string{counters[0].key, counters[1].key, counters[2].key}
}

// maxLocal bounds the memory of an attack while Redis is away; beyond it counting starts anew.
const maxLocal = 100_000

// local counts in this process alone.
type local struct {
	mu     sync.Mutex
	counts map[string]count
}

type count struct {
	n     int
	until time.Time
}

func (l *local) attempt(counters [3]counter, window time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if len(l.counts) > maxLocal {
		l.forget(now)
	}
	var wait time.Duration
	for _, c := range counters {
		if n := l.counts[c.key]; n.n >= c.limit && now.Before(n.until) {
			wait = max(wait, n.until.Sub(now))
		}
	}
	if wait > 0 {
		return wait // counted nothing, as countUp does
	}
	for _, c := range counters {
		n := l.counts[c.key]
		if !now.Before(n.until) {
			n = count{until: now.Add(window)}
		}
		n.n++
		l.counts[c.key] = n
	}
	return 0
}

func (l *local) succeeded(counters [3]counter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.counts, counters[0].key)
	for _, c := range counters[1:] {
		if n, ok := l.counts[c.key]; ok && n.n > 0 {
			n.n--
			l.counts[c.key] = n
		}
	}
}

// forget removes windows that are over, or all when none is.
func (l *local) forget(now time.Time) {
	for k, c := range l.counts {
		if now.After(c.until) {
			delete(l.counts, k)
		}
	}
	if len(l.counts) > maxLocal {
		clear(l.counts)
	}
}
