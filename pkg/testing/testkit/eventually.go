package testkit

import (
	"testing"
	"time"
)

const (
	eventuallyLimit = 30 * time.Second
	eventuallyPause = 20 * time.Millisecond
)

// Eventually calls cond until it returns nil, and fails the test with what and the last error after 30 s.
func Eventually(t testing.TB, what string, cond func() error) {
	t.Helper()
	deadline := time.Now().Add(eventuallyLimit)
	for {
		err := cond()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, eventuallyLimit, err)
			return
		}
		time.Sleep(eventuallyPause)
	}
}
