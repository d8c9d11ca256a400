package manager

import (
	"sync/atomic"
	"time"

	"pgo/deploy/pgo/internal/proc"
)

// When memory that work has taken is given back.
const (
	calm   = 3 * time.Second // after the last command; and that of the program itself, no sooner again
	seldom = time.Minute     // all of it, where work comes at intervals: each time would cost more than the work
)

// shrinker gives it back.
type shrinker struct {
	own     *proc.OwnMemory
	timer   *time.Timer
	last    atomic.Int64 // when all of it was given back
	dropped atomic.Int64 // when that of the program was
	all     atomic.Bool  // is to be given back, whenever that was
	due     atomic.Bool  // the timer runs for what was answered
}

func newShrinker() *shrinker {
	s := &shrinker{own: proc.NewOwnMemory()}
	s.all.Store(true)
	s.timer = time.AfterFunc(calm, s.shrink)
	return s
}

func (s *shrinker) shrink() {
	s.due.Store(false)
	now := time.Now().UnixNano()
	s.dropped.Store(now)
	if !s.all.Swap(false) && now-s.last.Load() < int64(seldom) {
		s.own.ReleaseProgram()
		return
	}
	s.last.Store(now)
	s.own.ReleaseUnused()
}

// worked is called for a command.
func (s *shrinker) worked() {
	s.all.Store(true)
	s.timer.Reset(calm)
}

// answered is called after what is asked again and again, as metrics are. What can be given back at once is: to wake up
// later for it would cost more.
func (s *shrinker) answered() {
	now, dropped := time.Now().UnixNano(), s.dropped.Load()
	soon := now-dropped < int64(calm)
	if !soon && s.dropped.CompareAndSwap(dropped, now) {
		s.own.ReleaseProgram()
	}
	if (soon || now-s.last.Load() >= int64(seldom)) && s.due.CompareAndSwap(false, true) {
		s.timer.Reset(calm)
	}
}

func (s *shrinker) stop() { s.timer.Stop() }
