package supervise

import (
	"math/rand/v2"
	"time"

	"pgo/deploy/pgo/internal/processfile"
)

// backoff is the sequence of waits between restarts of a process that ends by itself. The first restart is immediate, so
// that a crash is healed before anyone waits for long; only a process that soon ends again is held back.
type backoff struct{ next time.Duration }

// nextWait returns the wait after a process that was up for so long: none, then doubling, with jitter so that processes
// that end together do not start together.
func (b *backoff) nextWait(up time.Duration, r processfile.Restart) time.Duration {
	if b.next == 0 || up >= r.ResetAfter {
		b.next = r.FirstWait
		return 0
	}
	wait := b.next
	b.next = min(2*wait, r.LongestWait)
	return min(time.Duration(float64(wait)*(0.8+0.4*rand.Float64())), r.LongestWait)
}
