package watch

import (
	"context"
	"errors"
	"slices"
	"time"
)

// follower follows a file that has changed.
type follower struct {
	handler Handler
	options Options
	file    *file
}

// followFile follows the file from a change until the handler has accepted or refused it.
func (f *follower) followFile(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-f.file.removed:
			cancel()
		case <-ended:
		}
	}()
	for again := 0; ; again++ {
		s := f.awaitStable(ctx, again)
		if s == nil {
			return
		}
		f.recordState(s)
		if s.err == nil && s.sum == f.file.acceptedSHA256 && f.file.refusedState == nil {
			return // after a refusal the handler must see the content it accepted before
		}
		if f.file.refusedState != nil && f.file.refusedState.isSame(s) {
			return
		}
		err := f.offerFile(ctx, s)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			f.file.acceptedSHA256, f.file.refusedState = s.sum, nil
			return
		case errors.Is(err, ErrNotNow), errors.Is(err, ErrChanged): // it has changed since
			continue
		}
		if f.changesWithin(ctx, s, f.options.RefusalDelay-time.Since(s.since)) {
			continue
		}
		if ctx.Err() == nil {
			f.file.refusedState = s
			f.handler.HandleRefusal(ctx, s.newChange(f.file.path), err)
		}
		return
	}
}

// recordState stores the handled state. A file that was written just now may be written again within the resolution of its
// file system's clock, which no stat would show.
func (f *follower) recordState(s *fileState) {
	now := time.Now()
	f.file.recheckAt = time.Time{}
	if s.stat != f.file.handled && now.Sub(s.stat.modTime) < f.options.ClockResolution {
		f.file.recheckAt = now.Add(f.options.ClockResolution)
	}
	f.file.handled, f.file.companionStats = s.stat, s.companions
}

// offerFile calls the handler, and again while it returns ErrNotNow and the file stays the same.
func (f *follower) offerFile(ctx context.Context, s *fileState) error {
	if s.err != nil {
		return s.err
	}
	for {
		err := f.handler.HandleChange(ctx, s.newChange(f.file.path))
		if !errors.Is(err, ErrNotNow) || f.changesWithin(ctx, s, f.options.RetryInterval) {
			return err
		}
	}
}

// changesWithin reports whether the file changes within d, or ctx ends.
func (f *follower) changesWithin(ctx context.Context, s *fileState, d time.Duration) bool {
	for end := time.Now().Add(d); ; {
		if statFile(f.file.path).stablePart() != s.stat.stablePart() || !slices.Equal(f.file.statCompanions(), s.companions) {
			return true
		}
		left := time.Until(end)
		if left <= 0 {
			return false
		}
		if !sleepUnlessDone(ctx, min(left, f.options.PollInterval)) {
			return true
		}
	}
}

// awaitStable waits until the file has stopped changing: until its stat has been the same for a while, and its content was the
// same halfway and at the end. It returns nil if the file is gone or ctx has ended.
//
// An upload that pauses looks finished. Each time this happens the wait grows, up to three times: every attempt reads the
// whole file.
func (f *follower) awaitStable(ctx context.Context, again int) *fileState {
	quiet := f.options.StableFor * time.Duration(min(again+1, 3))
	now := &fileState{stat: statFile(f.file.path), companions: f.file.statCompanions(), since: time.Now()}
	for read := false; sleepUnlessDone(ctx, f.options.ChangeInterval); {
		next := &fileState{stat: statFile(f.file.path), companions: f.file.statCompanions(), since: time.Now()}
		if !next.stat.exists {
			f.file.handled = next.stat
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
		next.sum, next.size, next.err = hashFile(ctx, f.file.path)
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
