package watch

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

// file is the state of a watched file. All fields but removed and companions belong to followFile while the file is busy, and
// to the loop of Run while it is not.
type file struct {
	path       string
	removed    chan struct{} // closed when it is no longer watched
	companions atomic.Pointer[[]string]
	busy       atomic.Bool

	handled        fileStat   // state that was handled last
	companionStats []fileStat // and the state of its companions then
	acceptedSHA256 string     // content that the handler accepted last
	refusedState   *fileState // state that the handler refused last, until it accepts one
	recheckAt      time.Time  // when to read the content again, since a write could have been missed; zero: never
}

// fileState is the state of a file that has stopped changing.
type fileState struct {
	stat       fileStat
	companions []fileStat
	since      time.Time // last change that was seen
	sum        string
	size       int64
	err        error // why it cannot be read; then there is no sum
}

// isSame reports whether a handler would answer the same for both. It ignores the time.
func (s *fileState) isSame(other *fileState) bool {
	text := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	return s.sum == other.sum && text(s.err) == text(other.err) && s.stat.mode == other.stat.mode && slices.Equal(s.companions, other.companions)
}

func (f *file) setCompanions(paths []string) { f.companions.Store(&paths) }

func (f *file) statCompanions() []fileStat {
	var looks []fileStat
	for _, path := range *f.companions.Load() {
		looks = append(looks, statFile(path).stablePart())
	}
	return looks
}

// hasChanged reports whether the file should be followed.
func (f *file) hasChanged(now time.Time) bool {
	l := statFile(f.path)
	switch {
	case !l.exists:
		f.handled = l
		return false
	case l != f.handled, !f.recheckAt.IsZero() && !now.Before(f.recheckAt):
		return true
	}
	return f.refusedState != nil && !slices.Equal(f.statCompanions(), f.companionStats)
}

// followFile follows a file from a change until the handler has accepted or refused it.
func (w *Watcher) followFile(ctx context.Context, f *file) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-f.removed:
			cancel()
		case <-ended:
		}
	}()
	for again := 0; ; again++ {
		s := w.awaitStable(ctx, f, again)
		if s == nil {
			return
		}
		w.recordState(f, s)
		if s.err == nil && s.sum == f.acceptedSHA256 && f.refusedState == nil {
			return // after a refusal the handler must see the content it accepted before
		}
		if f.refusedState != nil && f.refusedState.isSame(s) {
			return
		}
		err := w.offerFile(ctx, f, s)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			f.acceptedSHA256, f.refusedState = s.sum, nil
			return
		case errors.Is(err, ErrNotNow), errors.Is(err, ErrChanged): // it has changed since
			continue
		}
		if w.changesWithin(ctx, f, s, w.options.RefusalDelay-time.Since(s.since)) {
			continue
		}
		if ctx.Err() == nil {
			f.refusedState = s
			w.handler.HandleRefusal(ctx, s.newChange(f.path), err)
		}
		return
	}
}

func (s *fileState) newChange(path string) Change {
	return Change{Path: path, SHA256: s.sum, Size: s.size}
}

// recordState stores the handled state. A file that was written just now may be written again within the resolution of its
// file system's clock, which no stat would show.
func (w *Watcher) recordState(f *file, s *fileState) {
	now := time.Now()
	f.recheckAt = time.Time{}
	if s.stat != f.handled && now.Sub(s.stat.modTime) < w.options.ClockResolution {
		f.recheckAt = now.Add(w.options.ClockResolution)
	}
	f.handled, f.companionStats = s.stat, s.companions
}

// offerFile calls the handler, and again while it returns ErrNotNow and the file stays the same.
func (w *Watcher) offerFile(ctx context.Context, f *file, s *fileState) error {
	if s.err != nil {
		return s.err
	}
	for {
		err := w.handler.HandleChange(ctx, s.newChange(f.path))
		if !errors.Is(err, ErrNotNow) || w.changesWithin(ctx, f, s, w.options.RetryInterval) {
			return err
		}
	}
}

// changesWithin reports whether the file changes within d, or ctx ends.
func (w *Watcher) changesWithin(ctx context.Context, f *file, s *fileState, d time.Duration) bool {
	for end := time.Now().Add(d); ; {
		if statFile(f.path).stablePart() != s.stat.stablePart() || !slices.Equal(f.statCompanions(), s.companions) {
			return true
		}
		left := time.Until(end)
		if left <= 0 {
			return false
		}
		if !sleepUnlessDone(ctx, min(left, w.options.PollInterval)) {
			return true
		}
	}
}

// awaitStable waits until the file has stopped changing: until its stat has been the same for a while, and its content was the
// same halfway and at the end. It returns nil if the file is gone or ctx has ended.
//
// An upload that pauses looks finished. Each time this happens the wait grows, up to three times: every attempt reads the
// whole file.
func (w *Watcher) awaitStable(ctx context.Context, f *file, again int) *fileState {
	quiet := w.options.StableFor * time.Duration(min(again+1, 3))
	now := &fileState{stat: statFile(f.path), companions: f.statCompanions(), since: time.Now()}
	for read := false; sleepUnlessDone(ctx, w.options.ChangeInterval); {
		next := &fileState{stat: statFile(f.path), companions: f.statCompanions(), since: time.Now()}
		if !next.stat.exists {
			f.handled = next.stat
			return nil
		}
		if next.stat.stablePart() != now.stat.stablePart() || !slices.Equal(next.companions, now.companions) {
			now, read = next, false
			continue
		}
		now.stat = next.stat
		if time.Since(now.since) < quiet/2 || read && time.Since(now.since) < quiet {
			continue
		}
		next.sum, next.size, next.err = hashFile(ctx, f.path)
		switch {
		case ctx.Err() != nil:
			return nil
		case !read:
			now.sum, now.size, now.err, read = next.sum, next.size, next.err, true
		case !next.isSame(now):
			now = next
		default:
			return now
		}
	}
	return nil
}

// sleepUnlessDone sleeps for d. It returns false if ctx ends first.
func sleepUnlessDone(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
