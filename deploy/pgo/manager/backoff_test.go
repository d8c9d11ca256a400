package manager

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	var b backoff
	around := func(what string, got, want time.Duration) {
		t.Helper()
		if got < want*8/10 || got > min(want*12/10, longest) {
			t.Errorf("%s: %s, want about %s", what, got, want)
		}
	}
	for want := firstWait; want < longest; want *= 2 {
		around("doubling", b.after(time.Second), want)
	}
	for range 3 {
		around("at the cap", b.after(time.Second), longest)
	}
	around("after it was up for long", b.after(proven), firstWait)
	around("and again", b.after(time.Second), 2*firstWait)
}
