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

// Options is how to wait.
type Options struct {
	Deadline time.Duration // for all targets together
	Progress func(text string)
	// Seen is told what each try found, nil when the target serves. It is called from several goroutines.
	Seen func(target string, err error)
}

// MissingError says which servers did not serve in time, and why.
type MissingError struct {
	After   time.Duration
	Missing []string // "MySQL at 127.0.0.1:3306: connection refused"
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("not there after %s: %s", e.After, strings.Join(e.Missing, "; "))
}

// Wait tries all targets side by side until each serves. It returns a *MissingError when the deadline passes, and
// ctx's error when that ends.
func Wait(ctx context.Context, targets []Target, o Options) error {
	start := time.Now()
	waiting, cancel := context.WithTimeout(ctx, o.Deadline)
	defer cancel()
	reasons := make([]error, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() { reasons[i] = waitOne(waiting, t, start, o) })
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

// waitOne returns nil once t serves, or the last reason why it did not.
func waitOne(ctx context.Context, t Target, start time.Time, o Options) error {
	pause := &backoff.ExponentialBackOff{InitialInterval: 100 * time.Millisecond, MaxInterval: 3 * time.Second, Multiplier: 1.6, RandomizationFactor: 0.3}
	pause.Reset()
	var told string
	var nextWord time.Time
	for {
		err := t.Check(ctx)
		if o.Seen != nil {
			o.Seen(t.Name, err)
		}
		now := time.Now()
		waited := now.Sub(start).Round(time.Second)
		if err == nil {
			o.Progress(fmt.Sprintf("%s at %s serves (after %s)", t.Name, t.Addr, now.Sub(start).Round(time.Millisecond)))
			return nil
		}
		if ctx.Err() != nil && told != "" {
			return errors.New(told) // this try was cut short, the one before says more
		}
		// At once, whenever the reason changes, and then less and less often.
		if err.Error() != told || now.After(nextWord) {
			o.Progress(fmt.Sprintf("waiting for %s at %s (%s): %v; giving up in %s", t.Name, t.Addr, waited, err, max(o.Deadline-waited, 0)))
			told = err.Error()
			nextWord = now.Add(min(max(5*time.Second, waited), 30*time.Second))
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause.NextBackOff()):
		}
	}
}
