package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// Worker runs beside the HTTP servers: a relay, a consumer.
type Worker struct {
	Name string
	Run  func(context.Context) error // returns when its context ends and its current work is finished
}

// Periodic returns a worker that calls f at its start and each time the period has passed, so that f also runs in a program that
// is replaced more often than that. It logs an error and calls f again the next time.
func Periodic(name string, period time.Duration, f func(context.Context) error, log *zap.Logger) Worker {
	return Worker{Name: name, Run: func(ctx context.Context) error {
		tick := time.NewTicker(period)
		defer tick.Stop()
		for {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				log.Warn("periodic work failed", zap.String("worker", name), zap.Error(err))
			}
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	}}
}

type startedWorker struct {
	name string
	done chan struct{}
}

// startWorkers starts the workers. One that ends before ctx does is a failure of the program.
func (p Program) startWorkers(ctx context.Context, failed chan<- error) []startedWorker {
	var all []startedWorker
	for _, w := range p.Workers {
		r := startedWorker{name: w.Name, done: make(chan struct{})}
		all = append(all, r)
		go func() {
			defer close(r.done)
			err := w.Run(ctx)
			switch {
			case ctx.Err() == nil && err == nil:
				failed <- fmt.Errorf("worker %s ended: %w", w.Name, errors.New("it should run as long as the program"))
			case ctx.Err() == nil:
				failed <- fmt.Errorf("worker %s ended: %w", w.Name, err)
			case err != nil && !errors.Is(err, context.Canceled):
				p.Log.Error("a worker did not end well", zap.String("worker", w.Name), zap.Error(err))
			}
		}()
	}
	return all
}

// awaitWorkers waits for each worker until the deadline. One that hangs does not keep the program from ending: the next
// process does its unfinished work again, as after a crash.
func (p Program) awaitWorkers(all []startedWorker, deadline time.Time) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	for _, w := range all {
		select {
		case <-w.done:
			continue
		case <-ctx.Done():
		}
		select {
		case <-w.done: // both happened: it did end
		default:
			p.Log.Error("a worker did not end in time", zap.String("worker", w.name))
		}
	}
}
