package task

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// FanOutStore creates the assignments of published tasks.
type FanOutStore interface {
	// FanOutBatch creates one batch of one task's assignments and reports whether there was one to create. It commits the
	// assignments together with the progress, so that no assignment is repeated or missed after a crash.
	FanOutBatch(ctx context.Context) (bool, error)
}

// FanOut creates assignments in the background. Any number of FanOuts may run, also in other processes.
type FanOut struct {
	Store FanOutStore
	Log   *zap.Logger
	Poll  time.Duration // how often it looks for work of which Wake did not tell it
	wake  chan struct{}
}

// NewFanOut returns a FanOut that looks for work every second, and whenever Wake is called.
func NewFanOut(s FanOutStore, log *zap.Logger) *FanOut {
	return &FanOut{Store: s, Log: log, Poll: time.Second, wake: make(chan struct{}, 1)}
}

// Wake notifies the FanOut of new work. It never blocks.
func (f *FanOut) Wake() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Run creates assignments until ctx ends. It logs the first of several consecutive errors, and always returns nil.
func (f *FanOut) Run(ctx context.Context) error {
	tick := time.NewTicker(f.Poll)
	defer tick.Stop()
	failing := false
	for {
		more, err := f.Store.FanOutBatch(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing { // log the first error, not that of every attempt
			f.Log.Warn("creating assignments failed; it is tried again", zap.Duration("every", f.Poll), zap.Error(err))
		}
		failing = err != nil
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-f.wake:
		case <-tick.C:
		}
	}
}
