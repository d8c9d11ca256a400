package user

import (
	"context"
	"errors"
	"testing"
)

// fillQueue occupies the queue with calls for a purpose until a further call finds it full. The calls end with release.
func fillQueue(t *testing.T, q *hashQueue, p hashPurpose) (release func()) {
	t.Helper()
	stop := make(chan struct{})
	results := make(chan error)
	calls := cap(q.places[p])
	for range calls {
		go func() { results <- q.run(context.Background(), p, func() { <-stop }) }()
	}
	for len(q.places[p]) < calls {
		select {
		case err := <-results:
			t.Fatalf("a call ended early: %v", err)
		default:
		}
	}
	return func() {
		close(stop)
		for range calls {
			if err := <-results; err != nil {
				t.Errorf("a call that had a place failed: %v", err)
			}
		}
	}
}

func TestHashQueue(t *testing.T) {
	t.Run("full of sign-ups", func(t *testing.T) {
		q := newHashQueue()
		release := fillQueue(t, q, forSignUp)
		if err := q.run(t.Context(), forSignUp, func() { t.Error("hashed") }); !errors.Is(err, ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
		hashed := false
		if err := q.run(t.Context(), forSignIn, func() { hashed = true }); err != nil || !hashed {
			t.Errorf("a sign-in waits for sign-ups: %v", err)
		}
		release()
	})
	t.Run("full of sign-ins", func(t *testing.T) {
		q := newHashQueue()
		release := fillQueue(t, q, forSignIn)
		if err := q.run(t.Context(), forSignIn, func() { t.Error("hashed") }); !errors.Is(err, ErrBusy) {
			t.Errorf("got %v, want ErrBusy", err)
		}
		release()
	})
	t.Run("caller that leaves", func(t *testing.T) {
		q := newHashQueue()
		release := fillQueue(t, q, forSignUp)
		<-q.places[forSignUp] // one place for the caller that leaves
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := q.run(ctx, forSignUp, func() {}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that the call was cancelled", err)
		}
		q.places[forSignUp] <- struct{}{}
		release()
	})
}
