package watch

import (
	"slices"
	"sync/atomic"
	"time"
)

// file is the state of a watched file. All fields but removed and companions belong to its follower while the file is busy, and
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

func (s *fileState) newChange(path string) Change {
	return Change{Path: path, SHA256: s.sum, Size: s.size}
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
