// Package throttle counts failed sign-ins in Redis, and in memory while Redis is away.
package throttle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

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

// Throttle implements user.Throttle. Safe for concurrent use.
type Throttle struct {
	redis  *redis.Client
	prefix string
	limits func() Limits
	log    *zap.Logger
	local  *local
}

// New returns a throttle whose keys start with prefix.
func New(client *redis.Client, prefix string, limits func() Limits, log *zap.Logger) *Throttle {
	return &Throttle{redis: client, prefix: prefix + "throttle:", limits: limits, log: log, local: &local{counts: map[string]count{}}}
}

// counter is one of the three counts of an attempt.
type counter struct {
	key   string
	limit int
}

// counters names accounts and addresses by hash: keys of a cache are no place for e-mail addresses.
func (t *Throttle) counters(email, ip string, l Limits) [3]counter {
	return [3]counter{{t.key("pair", email, ip), l.Pair}, {t.key("account", email), l.Account}, {t.key("address", ip), l.Address}}
}

func (t *Throttle) key(kind string, parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return t.prefix + kind + ":" + hex.EncodeToString(h.Sum(nil)[:16])
}

// countUp adds one to each key, starts its window when it is new, and returns {count, milliseconds left} pairs.
var countUp = redis.NewScript(`
local out = {}
for i, key in ipairs(KEYS) do
  local n = redis.call('INCR', key)
  if n == 1 or redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, ARGV[1]) end
  out[#out+1] = n
  out[#out+1] = redis.call('PTTL', key)
end
return out`)

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
	out, err := countUp.Run(ctx, t.redis, keys(counters), l.Window.Milliseconds()).Int64Slice()
	if err != nil || len(out) != 2*len(counters) {
		logging.From(ctx, t.log).Warn("counting sign-ins in memory", zap.Error(err))
		return t.local.attempt(counters, l.Window)
	}
	var wait time.Duration
	for i, c := range counters {
		if out[2*i] > int64(c.limit) {
			wait = max(wait, time.Duration(out[2*i+1])*time.Millisecond, time.Second)
		}
	}
	return wait
}

// Succeeded implements user.Throttle.
func (t *Throttle) Succeeded(ctx context.Context, email, ip string) {
	counters := t.counters(email, ip, t.limits())
	t.local.succeeded(counters)
	if err := takeBack.Run(ctx, t.redis, keys(counters)).Err(); err != nil {
		logging.From(ctx, t.log).Warn("forgetting failed sign-ins", zap.Error(err))
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
		n := l.counts[c.key]
		if now.After(n.until) {
			n = count{until: now.Add(window)}
		}
		n.n++
		l.counts[c.key] = n
		if n.n > c.limit {
			wait = max(wait, n.until.Sub(now), time.Second)
		}
	}
	return wait
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
