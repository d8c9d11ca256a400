package user

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"pgo/pkg/problem"
)

// ErrBusy reports that more passwords wait to be hashed than can be hashed in time.
var ErrBusy = problem.New(problem.KindUnavailable, "busy", "Too many people sign in or sign up right now. Try again soon.").WithRetryAfter(2 * time.Second)

// Places in the queue for each slot. A hash takes tens of milliseconds of a core: the longest wait is some seconds.
const (
	signInPlaces = 200
	signUpPlaces = 64
)

// maxHashWait is how long a call waits, on a machine that is too slow for its queue.
const maxHashWait = 10 * time.Second

// hashPurpose is the share of the hash queue that a call uses.
type hashPurpose int

const (
	// forSignIn is for people who have an account: they sign in, or change or reset their password.
	forSignIn hashPurpose = iota
	// forSignUp is for new people. It never uses more than half of the slots, so that a flood of sign-ups delays no sign-in.
	forSignUp
)

// hashQueue bounds how many password hashes run and how many wait. Each takes 19 MiB and tens of milliseconds of a core.
type hashQueue struct {
	slots       chan struct{}
	signUpSlots chan struct{}
	places      [2]chan struct{} // taken while a call waits or runs
	took        atomic.Int64     // the smoothed time of a sign-in's hash and its wait, in nanoseconds
}

func newHashQueue() *hashQueue {
	n := max(2, runtime.GOMAXPROCS(0))
	half := n / 2
	return &hashQueue{
		slots: make(chan struct{}, n), signUpSlots: make(chan struct{}, half),
		places: [2]chan struct{}{forSignIn: make(chan struct{}, n*signInPlaces), forSignUp: make(chan struct{}, half*signUpPlaces)},
	}
}

// run calls hash when there is a slot for the purpose. It returns ErrBusy at once if too many calls wait already, and
// after maxHashWait or at the deadline of ctx, and an error if ctx is cancelled while it waits.
func (q *hashQueue) run(ctx context.Context, p hashPurpose, hash func()) error {
	select {
	case q.places[p] <- struct{}{}:
		defer func() { <-q.places[p] }()
	default:
		return ErrBusy
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, maxHashWait)
	defer cancel()
	if p == forSignUp {
		if err := acquireSlot(ctx, q.signUpSlots); err != nil {
			return err
		}
		defer func() { <-q.signUpSlots }()
	}
	if err := acquireSlot(ctx, q.slots); err != nil {
		return err
	}
	defer func() { <-q.slots }()
	hash()
	if p == forSignIn {
		took := q.took.Load()
		q.took.Store(took + (int64(time.Since(began))-took)/8) // a lost update among concurrent ones does not matter
	}
	return nil
}

// imitate waits as long as a hash for a sign-in takes now, and uses no processor.
func (q *hashQueue) imitate(ctx context.Context) {
	timer := time.NewTimer(time.Duration(q.took.Load()))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func acquireSlot(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return ErrBusy
		}
		return fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
}
