package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

const (
	pollInterval = 250 * time.Millisecond // an ended session must be known within a second
	// pollOverlap makes each reading look back this far again: a session that is ended in a transaction gets its time before
	// the commit makes it visible.
	pollOverlap = 30 * time.Second
	staleAfter  = 5 * time.Second
)

// ErrUnknownPosition means that a position is not one of a list, or that the list has forgotten what came after it.
var ErrUnknownPosition = errors.New("the position is unknown")

// RevocationSource lists the sessions that were ended.
type RevocationSource interface {
	// EndedSince returns the ids of the sessions that were ended at or after t by the source's clock, and that clock's time
	// now.
	EndedSince(ctx context.Context, t time.Time) (ids []string, now time.Time, err error)
}

// RevocationList keeps the ended sessions in memory. While its source is unavailable it keeps what it knows: the tokens of
// sessions that are ended meanwhile stay valid until they expire.
type RevocationList struct {
	source   RevocationSource
	keep     time.Duration
	log      *zap.Logger
	lastSync prometheus.Gauge

	id string // names this list in positions, so that a position of another process's list is not taken for one of this

	mu      sync.RWMutex
	ended   map[string]time.Time // session → when it may be forgotten
	order   []string             // the sessions of ended, in the order in which they became known
	dropped int                  // the number of sessions that were forgotten from the front of order
	changed chan struct{}        // closed at the next session that becomes known
	stopped bool                 // Run has ended: no one waits any more
	cursor  time.Time            // by the source's clock
	synced  time.Time            // by ours, zero before the first reading
}

// NewRevocationList returns a list that keeps each ended session for longer than a token lives: lifetime, the longest one, and Leeway.
func NewRevocationList(source RevocationSource, lifetime time.Duration, reg prometheus.Registerer, log *zap.Logger) *RevocationList {
	f := &RevocationList{
		source: source, keep: lifetime + Leeway + time.Minute, log: log, id: rand.Text(), ended: map[string]time.Time{}, changed: make(chan struct{}),
		lastSync: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pgo_auth_revocations_last_sync_timestamp_seconds", Help: "When the list of ended sessions was last read."}),
	}
	reg.MustRegister(f.lastSync)
	return f
}

// IsRevoked implements RevocationChecker.
func (f *RevocationList) IsRevoked(sessionID string) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	_, ended := f.ended[sessionID]
	return ended
}

// Add records sessions that this process ended, without waiting for the next reading.
func (f *RevocationList) Add(sessionIDs ...string) {
	until := time.Now().Add(f.keep)
	f.mu.Lock()
	defer f.mu.Unlock()
	before := len(f.order)
	for _, id := range sessionIDs {
		if _, known := f.ended[id]; known {
			continue
		}
		f.ended[id] = until
		f.order = append(f.order, id)
	}
	if len(f.order) > before && !f.stopped {
		close(f.changed)
		f.changed = make(chan struct{})
	}
}

// Position returns a name of what this list knows now, for Changes.
func (f *RevocationList) Position() string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.positionAt(f.dropped + len(f.order))
}

func (f *RevocationList) positionAt(count int) string { return f.id + "." + strconv.Itoa(count) }

// Changes returns the sessions that became known after position, the time of the last reading by the source's clock, and the
// position to continue from. If there are none it waits for one, at most until ctx ends or Run does. It returns ErrUnknownPosition
// if position is not of this list or too old, and an error if the list has not been read for 5 seconds.
func (f *RevocationList) Changes(ctx context.Context, position string) (ids []string, now time.Time, next string, err error) {
	for {
		ids, now, next, changed, err := f.changesAt(position)
		if err != nil || len(ids) > 0 || changed == nil {
			return ids, now, next, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, now, next, nil
		}
	}
}

// changesAt is Changes without waiting. changed is nil if there is nothing to wait for.
func (f *RevocationList) changesAt(position string) (ids []string, now time.Time, next string, changed <-chan struct{}, err error) {
	if err := f.IsFresh(context.Background()); err != nil {
		return nil, now, "", nil, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	known, err := strconv.Atoi(strings.TrimPrefix(position, f.id+"."))
	if err != nil || known < f.dropped || known > f.dropped+len(f.order) {
		return nil, now, "", nil, ErrUnknownPosition
	}
	if !f.stopped {
		changed = f.changed
	}
	return slices.Clone(f.order[known-f.dropped:]), f.cursor, f.positionAt(f.dropped + len(f.order)), changed, nil
}

// stopWaiting lets those who wait for changes go: the program drains, and they are to ask another process.
func (f *RevocationList) stopWaiting() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.stopped {
		f.stopped = true
		close(f.changed)
	}
}

// Run reads the source until ctx ends.
func (f *RevocationList) Run(ctx context.Context) error {
	defer f.stopWaiting()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	failing := false
	for {
		err := f.readSource(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			f.log.Warn("the list of ended sessions cannot be read", zap.Error(err))
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// HasSynced is a check for package health: the list was read at least once. A program that has never read it would accept
// the tokens of ended sessions, so it is not ready.
func (f *RevocationList) HasSynced(context.Context) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.synced.IsZero() {
		return errors.New("the list of ended sessions was not read yet")
	}
	return nil
}

// IsFresh is a check for package health: the list was read within the last 5 seconds.
func (f *RevocationList) IsFresh(context.Context) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if time.Since(f.synced) > staleAfter {
		return errors.New("the list of ended sessions is old")
	}
	return nil
}

func (f *RevocationList) readSource(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, staleAfter)
	defer cancel()
	f.mu.RLock()
	since := f.cursor.Add(-pollOverlap)
	if f.cursor.IsZero() {
		since = time.Now().Add(-f.keep)
	}
	f.mu.RUnlock()
	ids, now, err := f.source.EndedSince(ctx, since)
	if err != nil {
		return err
	}
	f.Add(ids...)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cursor, f.synced = now, time.Now()
	f.lastSync.SetToCurrentTime()
	f.forgetOld()
	return nil
}

// forgetOld forgets the sessions whose tokens have all expired. The caller holds the lock.
func (f *RevocationList) forgetOld() {
	old := 0
	for old < len(f.order) && f.synced.After(f.ended[f.order[old]]) {
		delete(f.ended, f.order[old])
		old++
	}
	f.order, f.dropped = f.order[old:], f.dropped+old
}
