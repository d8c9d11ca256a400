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
	path string
	gone chan struct{} // closed when it is watched no more
	with atomic.Pointer[[]string]
	busy atomic.Bool

	known   look      // what was dealt with last
	beside  []look    // and the files that speak of it
	taken   string    // the content that its user took last
	refused *state    // what its user refused last, until it takes something
	doubt   time.Time // when its content must be read again, where a write could have been missed; zero: no need
}

// state is a file that has stopped changing.
type state struct {
	look   look
	beside []look
	since  time.Time // when it was last seen to change
	sum    string
	size   int64
	err    error // why it cannot be read; then there is no sum
}

// same reports whether a user would say the same of both. Only its time is of no interest.
func (s *state) same(other *state) bool {
	text := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	return s.sum == other.sum && text(s.err) == text(other.err) && s.look.mode == other.look.mode && slices.Equal(s.beside, other.beside)
}

func (f *file) setWith(paths []string) { f.with.Store(&paths) }

func (f *file) lookBeside() []look {
	var looks []look
	for _, path := range *f.with.Load() {
		looks = append(looks, lookAt(path).settled())
	}
	return looks
}

// changed reports whether there is something to follow.
func (f *file) changed(now time.Time) bool {
	l := lookAt(f.path)
	switch {
	case !l.there:
		f.known = l
		return false
	case l != f.known, !f.doubt.IsZero() && !now.Before(f.doubt):
		return true
	}
	return f.refused != nil && !slices.Equal(f.lookBeside(), f.beside)
}

// follow stays with a file from a change until it has been dealt with.
func (w *Watcher) follow(ctx context.Context, f *file) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-f.gone:
			cancel()
		case <-ended:
		}
	}()
	for again := 0; ; again++ {
		s := w.settle(ctx, f, again)
		if s == nil {
			return
		}
		w.note(f, s)
		if s.err == nil && s.sum == f.taken && f.refused == nil {
			return // after a refusal its user hears that what it took is back
		}
		if f.refused != nil && f.refused.same(s) {
			return
		}
		err := w.offer(ctx, f, s)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			f.taken, f.refused = s.sum, nil
			return
		case errors.Is(err, ErrNotNow), errors.Is(err, ErrChanged): // it has changed since
			continue
		}
		if w.changesWithin(ctx, f, s, w.o.RefusalDelay-time.Since(s.since)) {
			continue
		}
		if ctx.Err() == nil {
			f.refused = s
			w.user.HandleRefusal(ctx, s.change(f.path), err)
		}
		return
	}
}

func (s *state) change(path string) Change { return Change{Path: path, SHA256: s.sum, Size: s.size} }

// note keeps what is now dealt with. A file that was written just now may be written once more at what its file system
// takes for the same time: no look would tell.
func (w *Watcher) note(f *file, s *state) {
	now := time.Now()
	f.doubt = time.Time{}
	if s.look != f.known && now.Sub(s.look.written) < w.o.ClockResolution {
		f.doubt = now.Add(w.o.ClockResolution)
	}
	f.known, f.beside = s.look, s.beside
}

// offer asks the user to take the file, again and again while it says that this is not the moment and the file stays
// as it is.
func (w *Watcher) offer(ctx context.Context, f *file, s *state) error {
	if s.err != nil {
		return s.err
	}
	for {
		err := w.user.HandleChange(ctx, s.change(f.path))
		if !errors.Is(err, ErrNotNow) || w.changesWithin(ctx, f, s, w.o.RetryInterval) {
			return err
		}
	}
}

// changesWithin reports whether the file changes within that time, or is watched no more.
func (w *Watcher) changesWithin(ctx context.Context, f *file, s *state, d time.Duration) bool {
	for end := time.Now().Add(d); ; {
		if lookAt(f.path).settled() != s.look.settled() || !slices.Equal(f.lookBeside(), s.beside) {
			return true
		}
		left := time.Until(end)
		if left <= 0 {
			return false
		}
		if !wait(ctx, min(left, w.o.PollInterval)) {
			return true
		}
	}
}

// settle waits until the file has stopped changing: until it has looked the same for a while, and had the same content
// when that was half over and when it is over. It returns nil where there is no file any more, or no use in waiting.
//
// An upload that pauses looks finished. For each time that this happened, the wait is longer, up to three times: each
// costs the reading of the whole file.
func (w *Watcher) settle(ctx context.Context, f *file, again int) *state {
	quiet := w.o.StableFor * time.Duration(min(again+1, 3))
	now := &state{look: lookAt(f.path), beside: f.lookBeside(), since: time.Now()}
	for read := false; wait(ctx, w.o.ChangeInterval); {
		next := &state{look: lookAt(f.path), beside: f.lookBeside(), since: time.Now()}
		if !next.look.there {
			f.known = next.look
			return nil
		}
		if next.look.settled() != now.look.settled() || !slices.Equal(next.beside, now.beside) {
			now, read = next, false
			continue
		}
		now.look = next.look
		if time.Since(now.since) < quiet/2 || read && time.Since(now.since) < quiet {
			continue
		}
		next.sum, next.size, next.err = sumOf(ctx, f.path)
		switch {
		case ctx.Err() != nil:
			return nil
		case !read:
			now.sum, now.size, now.err, read = next.sum, next.size, next.err, true
		case !next.same(now):
			now = next
		default:
			return now
		}
	}
	return nil
}

// wait returns false where ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
