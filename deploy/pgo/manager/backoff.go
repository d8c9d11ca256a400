package manager

import (
	"math/rand/v2"
	"time"
)

// Waits between starts of a process that ends by itself. The first is so short that a crash is healed at once.
const (
	firstWait = 100 * time.Millisecond
	longest   = 15 * time.Second
	proven    = 30 * time.Second // up this long, a process begins anew
)

// backoff is the sequence of waits: doubling, with jitter so that processes which fall together do not start together.
type backoff struct{ next time.Duration }

// after returns the wait after a process that was up so long.
func (b *backoff) after(up time.Duration) time.Duration {
	if b.next == 0 || up >= proven {
		b.next = firstWait
	}
	wait := b.next
	b.next = min(2*wait, longest)
	return min(time.Duration(float64(wait)*(0.8+0.4*rand.Float64())), longest)
}
