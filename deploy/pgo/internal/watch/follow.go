package watch

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

// file is what is known of a watched file. All but gone and with belongs to who follows it while it is busy, and to the
// loop of Run while it is not.
type file struct {
	path       string
	removed    chan struct{} // closed when it is watched no more
	companions atomic.Pointer[[]string]
	busy       atomic.Bool

	handled        fileStat   // what was dealt with last
	companionStats []fileStat // and the files that speak of it
	acceptedSHA256 string     // the content that its user took last
	refusedState   *fileState // what its user refused last, until it takes something
	recheckAt      time.Time  // when its content must be read again, where a write could have been missed; zero: no need
}

// fileState is a file that has stopped changing.
type fileState struct {
	stat       fileStat
	companions []fileStat
	since      time.Time // when it was last seen to change
	sum        string
	size       int64
	err        error // why it cannot be read; then there is no sum
}

// isSame reports whether a user would say the same of both. Only its time is of no interest.
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

// hasChanged reports whether there is something to follow.
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

// followFile stays with a file from a change until it has been dealt with.
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
			return // after a refusal its user hears that what it took is back
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

// recordState keeps what is now dealt with. A file that was written just now may be written once more at what its file system
// takes for the same time: no look would tell.
func (w *Watcher) recordState(f *file, s *fileState) {
	now := time.Now()
	f.recheckAt = time.Time{}
	if s.stat != f.handled && now.Sub(s.stat.modTime) < w.options.ClockResolution {
		f.recheckAt = now.Add(w.options.ClockResolution)
	}
	f.handled, f.companionStats = s.stat, s.companions
}

// offerFile asks the user to take the file, again and again while it says that this is not the moment and the file stays
// as it is.
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

// changesWithin reports whether the file changes within that time, or is watched no more.
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

// awaitStable waits until the file has stopped changing: until it has looked the same for a while, and had the same content
// when that was half over and when it is over. It returns nil where there is no file any more, or no use in waiting.
//
// An upload that pauses looks finished. For each time that this happened, the wait is longer, up to three times: each
// costs the reading of the whole file.
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

// sleepUnlessDone returns false where ctx ends first.
func sleepUnlessDone(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
