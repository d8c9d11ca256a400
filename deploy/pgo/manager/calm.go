package manager

import (
	"sync/atomic"
	"time"

	"pgo/deploy/pgo/proc"
)

// When memory that work has taken is given back.
const (
	calm   = 3 * time.Second // after the last command
	seldom = time.Minute     // at least, where work comes at intervals: each time would cost more than the work
)

// shrinker gives it back.
type shrinker struct {
	timer *time.Timer
	last  atomic.Int64
	due   atomic.Bool // at the latest when the timer fires
}

func newShrinker() *shrinker {
	s := &shrinker{}
	s.timer = time.AfterFunc(calm, func() {
		s.last.Store(time.Now().UnixNano())
		s.due.Store(false)
		proc.Shrink()
	})
	return s
}

// worked is called for a command.
func (s *shrinker) worked() { s.timer.Reset(calm) }

// asked is called for what is asked again and again, as metrics are.
func (s *shrinker) asked() {
	if time.Since(time.Unix(0, s.last.Load())) > seldom && s.due.CompareAndSwap(false, true) {
		s.timer.Reset(calm)
	}
}

func (s *shrinker) stop() { s.timer.Stop() }
