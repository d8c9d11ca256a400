// Package throttle limits sign-ins, sign-ups and requests for mails. It counts in Redis, and in memory as well: so an emptied
// Redis forgives no one whom this process has counted, and the limits hold while Redis is unavailable.
package throttle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"pgo/pkg/logging"
	"pgo/services/user"
)

// Limits holds the numbers that are allowed within the window. Those of an address are regained evenly over the window, so
// that an address that has used all of them waits for the next one and not for the window's end.
type Limits struct {
	Window   time.Duration `config:"window"`
	Account  int           `config:"account"`  // failures on one account by all unknown devices, by one known device, or in one session
	Free     int           `config:"free"`     // failures on one account before the delays begin
	Delay    time.Duration `config:"delay"`    // wait after the last free failure; after each further one it is three times as long
	Address  int           `config:"address"`  // failures on existing accounts by the unknown devices of one address
	Invented int           `config:"invented"` // attempts by one address on accounts that do not exist
	SignIn   int           `config:"sign_in"`  // attempts on one account, also those that succeed
	SignUp   int           `config:"sign_up"`  // sign-ups from one address
	Mail     int           `config:"mail"`     // mails that one address asks for
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
	return &Throttle{redis: client, prefix: prefix + "throttle:", limits: limits, log: log, memory: &memoryCounters{entries: map[string]entry{}}, attempts: newAttemptsMetric()}
}

// CountAttempt implements user.Throttle.
func (t *Throttle) CountAttempt(ctx context.Context, a user.Attempt) time.Duration {
	l := t.limits()
	rules := t.rulesFor(a, l)
	if !a.IsInvented && a.SessionID == "" {
		rules = append(rules, rule{t.keyFor("sign-in", a.Account), bucketRule, l.SignIn})
	}
	wait, in := t.count(ctx, l, rules)
	return t.recordAttempt(in, wait)
}

// RecordSuccess implements user.Throttle.
func (t *Throttle) RecordSuccess(ctx context.Context, a user.Attempt) {
	l := t.limits()
	rules := t.rulesFor(a, l)
	t.memory.undo(rules, l)
	if t.shouldAskRedis() {
		t.recordAnswer(ctx, undoScript.Run(ctx, t.redis, keysOf(rules), argumentsOf(l, rules)...).Err())
	}
}

// CountInvented implements user.Throttle.
func (t *Throttle) CountInvented(ctx context.Context, ip string) time.Duration {
	l := t.limits()
	wait, _ := t.count(ctx, l, []rule{{t.keyFor("invented", networkOf(ip)), bucketRule, l.Invented}})
	return wait
}

// CountSignUp implements user.Throttle.
func (t *Throttle) CountSignUp(ctx context.Context, ip string) time.Duration {
	l := t.limits()
	wait, _ := t.count(ctx, l, []rule{{t.keyFor("sign-up", networkOf(ip)), bucketRule, l.SignUp}})
	return wait
}

// CountMail implements user.Throttle.
func (t *Throttle) CountMail(ctx context.Context, ip string) time.Duration {
	l := t.limits()
	wait, _ := t.count(ctx, l, []rule{{t.keyFor("mail", networkOf(ip)), bucketRule, l.Mail}})
	return wait
}

// Forget implements user.Throttle.
func (t *Throttle) Forget(ctx context.Context, account string) {
	key := t.keyFor("account", account)
	t.memory.forget(key)
	if t.shouldAskRedis() {
		t.recordAnswer(ctx, t.redis.Del(ctx, key).Err())
	}
}

// rulesFor returns the rules that count a failed attempt. What others do limits neither a known device nor a session.
func (t *Throttle) rulesFor(a user.Attempt, l Limits) []rule {
	switch {
	case a.SessionID != "":
		return []rule{{t.keyFor("session", a.SessionID), delayRule, l.Account}}
	case a.DeviceID != "":
		return []rule{{t.keyFor("device", a.DeviceID), delayRule, l.Account}}
	}
	address := rule{t.keyFor("address", networkOf(a.IP)), bucketRule, l.Address}
	if a.IsInvented { // uses nothing up, but is refused when an existing account is, so that the answer does not tell them apart
		address.kind = checkedBucketRule
	}
	return []rule{{t.keyFor("account", a.Account), delayRule, l.Account}, address}
}

// count applies the rules to one call. It returns how long the caller must wait, or 0 if the call was counted, and where
// this was decided.
func (t *Throttle) count(ctx context.Context, l Limits, rules []rule) (wait time.Duration, in string) {
	if wait := t.memory.count(rules, l); wait > 0 {
		return wait, "memory"
	}
	if !t.shouldAskRedis() {
		return 0, "memory"
	}
	ms, err := countScript.Run(ctx, t.redis, keysOf(rules), argumentsOf(l, rules)...).Int64()
	t.recordAnswer(ctx, err)
	if err != nil {
		return 0, "memory"
	}
	if ms > 0 {
		t.memory.undo(rules, l)
	}
	return time.Duration(ms) * time.Millisecond, "redis"
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

// keyFor returns a key that contains a hash, since the keys of a cache must not contain e-mail addresses.
func (t *Throttle) keyFor(kind, what string) string {
	h := sha256.Sum256([]byte(what))
	return t.prefix + kind + ":" + hex.EncodeToString(h[:16])
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
