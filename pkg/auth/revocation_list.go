package auth

import (
	"context"
	"errors"
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

	mu     sync.RWMutex
	ended  map[string]time.Time // session → when it may be forgotten
	cursor time.Time            // by the source's clock
	synced time.Time            // by ours, zero before the first reading
}

// NewRevocationList returns a list that keeps each ended session for longer than a token lives: lifetime, the longest one, and Leeway.
func NewRevocationList(source RevocationSource, lifetime time.Duration, reg prometheus.Registerer, log *zap.Logger) *RevocationList {
	f := &RevocationList{
		source: source, keep: lifetime + Leeway + time.Minute, log: log, ended: map[string]time.Time{},
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
	for _, id := range sessionIDs {
		f.ended[id] = until
	}
}

// Run reads the source until ctx ends.
func (f *RevocationList) Run(ctx context.Context) error {
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
	for id, until := range f.ended {
		if f.synced.After(until) {
			delete(f.ended, id)
		}
	}
	return nil
}
