package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Options configures AwaitAll.
type Options struct {
	Deadline   time.Duration // until all targets serve
	Successes  int           // checks in a row that a target must pass; 0 is 1
	OnProgress func(text string)
	// OnResult receives the result of each check, nil when the target serves. It is called from several goroutines.
	OnResult func(target string, err error)
}

// MissingError names the servers that did not serve in time, with the reasons.
type MissingError struct {
	After   time.Duration
	Missing []string // "MySQL at 127.0.0.1:3306: connection refused"
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("not available after %s: %s", e.After, strings.Join(e.Missing, "; "))
}

// AwaitAll checks all targets concurrently until each serves. It returns a *MissingError when the deadline passes, and
// ctx's error when ctx ends.
func AwaitAll(ctx context.Context, targets []Target, o Options) error {
	start := time.Now()
	waiting, cancel := context.WithTimeout(ctx, o.Deadline)
	defer cancel()
	reasons := make([]error, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() { reasons[i] = awaitTarget(waiting, t, start, o) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	missing := &MissingError{After: o.Deadline}
	for i, t := range targets {
		if reasons[i] != nil {
			missing.Missing = append(missing.Missing, fmt.Sprintf("%s at %s: %v", t.Name, t.Addr, reasons[i]))
		}
	}
	if len(missing.Missing) > 0 {
		return missing
	}
	return nil
}

// successPause is the time between checks that a target passes.
const successPause = 50 * time.Millisecond

// awaitTarget returns nil once t serves, or the last reason why it did not when ctx ends.
func awaitTarget(ctx context.Context, t Target, start time.Time, o Options) error {
	pause := &backoff.ExponentialBackOff{InitialInterval: 100 * time.Millisecond, MaxInterval: 3 * time.Second, Multiplier: 1.6, RandomizationFactor: 0.3}
	pause.Reset()
	var logged string
	var nextLog time.Time
	for passed := 0; ; {
		err := t.Check(ctx)
		if o.OnResult != nil {
			o.OnResult(t.Name, err)
		}
		now := time.Now()
		waited := now.Sub(start).Round(time.Second)
		if err == nil {
			if passed++; passed < o.Successes {
				select {
				case <-ctx.Done():
				case <-time.After(successPause):
				}
				continue
			}
			o.OnProgress(fmt.Sprintf("%s at %s serves (after %s)", t.Name, t.Addr, now.Sub(start).Round(time.Millisecond)))
			return nil
		}
		passed = 0
		if ctx.Err() != nil && logged != "" {
			return errors.New(logged) // this check was cut short, the one before has the reason
		}
		// Log a new reason at once, and the same one at growing intervals.
		if err.Error() != logged || now.After(nextLog) {
			o.OnProgress(fmt.Sprintf("waiting for %s at %s (%s): %v; giving up in %s", t.Name, t.Addr, waited, err, max(o.Deadline-waited, 0)))
			logged = err.Error()
			nextLog = now.Add(min(max(5*time.Second, waited), 30*time.Second))
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause.NextBackOff()):
		}
	}
}
