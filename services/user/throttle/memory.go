package throttle

import (
	"sync"
	"time"
)

// maxMemoryCounters limits the memory that an attack can use. Beyond it counting in memory starts again.
const maxMemoryCounters = 100_000

// memoryCounters count the calls that this process has seen. They do what countScript and undoScript do.
type memoryCounters struct {
	mu      sync.Mutex
	entries map[string]entry
}

// entry is the count under a key.
type entry struct {
	failures []time.Time // of a delayRule, oldest first
	full     time.Time   // of a bucketRule: when all of the bucket is regained
	endsAt   time.Time   // when the entry can be forgotten
}

func (m *memoryCounters) count(rules []rule, l Limits) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if len(m.entries) > maxMemoryCounters {
		m.dropExpired(now)
	}
	var wait time.Duration
	for _, r := range rules {
		wait = max(wait, m.entries[r.key].waitFor(r, l, now))
	}
	if wait > 0 {
		return wait
	}
	for _, r := range rules {
		e := m.entries[r.key]
		switch r.kind {
		case delayRule:
			e.failures = append(recentOf(e.failures, now.Add(-l.Window)), now)
			e.endsAt = now.Add(l.Window)
		case bucketRule:
			e.full = later(e.full, now).Add(l.Window / time.Duration(r.limit))
			e.endsAt = e.full
		default:
			continue
		}
		m.entries[r.key] = e
	}
	return 0
}

// waitFor returns how long a call must wait for the rule.
func (e entry) waitFor(r rule, l Limits, now time.Time) time.Duration {
	if r.kind != delayRule {
		return later(e.full, now).Add(l.Window/time.Duration(r.limit)).Sub(now) - l.Window
	}
	recent := recentOf(e.failures, now.Add(-l.Window))
	n := len(recent)
	switch {
	case n >= r.limit:
		return recent[n-r.limit].Add(l.Window).Sub(now)
	case n > 0:
		return recent[n-1].Add(l.delayAfter(n)).Sub(now)
	}
	return 0
}

func (m *memoryCounters) undo(rules []rule, l Limits) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range rules {
		e, ok := m.entries[r.key]
		switch {
		case !ok:
			continue
		case r.kind == delayRule && len(e.failures) > 0:
			e.failures = e.failures[:len(e.failures)-1]
		case r.kind == bucketRule:
			e.full = e.full.Add(-l.Window / time.Duration(r.limit))
		}
		m.entries[r.key] = e
	}
}

func (m *memoryCounters) forget(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
}

// dropExpired removes entries that have ended, or all if the limit is still exceeded.
func (m *memoryCounters) dropExpired(now time.Time) {
	for k, e := range m.entries {
		if now.After(e.endsAt) {
			delete(m.entries, k)
		}
	}
	if len(m.entries) > maxMemoryCounters {
		clear(m.entries)
	}
}

// recentOf returns the times after since.
func recentOf(times []time.Time, since time.Time) []time.Time {
	for len(times) > 0 && !times[0].After(since) {
		times = times[1:]
	}
	return times
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
