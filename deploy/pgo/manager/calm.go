package manager

import (
	"sync/atomic"
	"time"

	"pgo/deploy/pgo/proc"
)

// When memory that work has taken is given back.
const (
	calm   = 3 * time.Second // after the last command, and after what is asked
	seldom = time.Minute     // all of it, where work comes at intervals: each time would cost more than the work
)

// shrinker gives it back.
type shrinker struct {
	timer *time.Timer
	last  atomic.Int64 // when all of it was given back
	all   atomic.Bool  // is to be given back, whenever that was
	due   atomic.Bool  // the timer runs for what was asked
}

func newShrinker() *shrinker {
	s := &shrinker{}
	s.all.Store(true)
	s.timer = time.AfterFunc(calm, s.shrink)
	return s
}

func (s *shrinker) shrink() {
	s.due.Store(false)
	if !s.all.Swap(false) && time.Since(time.Unix(0, s.last.Load())) < seldom {
		proc.DropProgram()
		return
	}
	s.last.Store(time.Now().UnixNano())
	proc.Shrink()
}

// worked is called for a command.
func (s *shrinker) worked() {
	s.all.Store(true)
	s.timer.Reset(calm)
}

// asked is called for what is asked again and again, as metrics are.
func (s *shrinker) asked() {
	if s.due.CompareAndSwap(false, true) {
		s.timer.Reset(calm)
	}
}

func (s *shrinker) stop() { s.timer.Stop() }
