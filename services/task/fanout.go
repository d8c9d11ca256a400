package task

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// FanOutStore makes assignments of published tasks.
type FanOutStore interface {
	// FanOutBatch makes one batch of one task's assignments and reports whether there was one to make. What was made is
	// committed together with how far it is, so that whoever goes on after a crash neither repeats nor misses.
	FanOutBatch(ctx context.Context) (bool, error)
}

// FanOut makes assignments in the background. Any number of them may run, also in other processes.
type FanOut struct {
	Store FanOutStore
	Log   *zap.Logger
	Poll  time.Duration // how often it looks for work that nobody told it of
	wake  chan struct{}
}

// NewFanOut returns one that looks for work every second.
func NewFanOut(s FanOutStore, log *zap.Logger) *FanOut {
	return &FanOut{Store: s, Log: log, Poll: time.Second, wake: make(chan struct{}, 1)}
}

// Wake tells it that there is work. It never waits.
func (f *FanOut) Wake() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends.
func (f *FanOut) Run(ctx context.Context) error {
	tick := time.NewTicker(f.Poll)
	defer tick.Stop()
	failing := false
	for {
		more, err := f.Store.FanOutBatch(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing { // say it once, not at every attempt
			f.Log.Warn("making assignments", zap.Error(err))
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
