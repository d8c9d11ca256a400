package supervise

import (
	"errors"
	"testing"
)

// Starts wait for others that are about to end, and are refused only where the limit itself is too low.
func TestStartBudget(t *testing.T) {
	tooMany := errors.New("too many")
	b := newStartBudget()
	b.check = func(more int) error {
		if more > 10 {
			return tooMany
		}
		return nil
	}
	if _, err := b.reserve(11); !errors.Is(err, tooMany) {
		t.Errorf("more than there are: %v", err)
	}
	release, err := b.reserve(6)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		second, err := b.reserve(6)
		if err == nil {
			second()
		}
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("a second start did not wait for the first: %v", err)
	default:
	}
	release()
	if err := <-done; err != nil {
		t.Errorf("a start after another one: %v", err)
	}
	if b.pending != 0 {
		t.Errorf("%d are pending", b.pending)
	}
}
