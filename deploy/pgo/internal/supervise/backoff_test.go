package supervise

import (
	"testing"
	"time"

	"pgo/deploy/pgo/internal/processfile"
)

func TestBackoff(t *testing.T) {
	var b backoff
	r := processfile.Restart{FirstWait: 100 * time.Millisecond, LongestWait: 15 * time.Second, ResetAfter: 30 * time.Second}
	around := func(what string, got, want time.Duration) {
		t.Helper()
		if got < want*8/10 || got > min(want*12/10, r.LongestWait) {
			t.Errorf("%s: %s, want about %s", what, got, want)
		}
	}
	around("the first", b.nextWait(time.Second, r), 0)
	for want := r.FirstWait; want < r.LongestWait; want *= 2 {
		around("doubling", b.nextWait(time.Second, r), want)
	}
	for range 3 {
		around("at the cap", b.nextWait(time.Second, r), r.LongestWait)
	}
	around("after it was up for long", b.nextWait(r.ResetAfter, r), 0)
	around("and again", b.nextWait(time.Second, r), r.FirstWait)
}
