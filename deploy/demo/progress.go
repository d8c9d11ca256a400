package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// maxConcurrent is how many calls are under way together. More would only queue up in User, which works on no more passwords
// at once than there are cores.
const maxConcurrent = 4

// progress tells how far a step is, now and then and at its end.
type progress struct {
	w     io.Writer
	every time.Duration
}

// runEach calls f for 0 to n-1, a few at once, and returns what failed first; the rest is then left out.
func (p progress) runEach(ctx context.Context, what string, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		done  int
		next  = make(chan int)
		shown = time.Now()
	)
	for range min(maxConcurrent, n) {
		wg.Go(func() {
			for i := range next {
				if err := f(ctx, i); err != nil {
					cancel(err)
					continue
				}
				mu.Lock()
				if done++; done < n && time.Since(shown) >= p.every {
					shown = time.Now()
					fmt.Fprintf(p.w, "%s: %d of %d\n", what, done, n)
				}
				mu.Unlock()
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		if errors.Is(err, context.Canceled) {
			return err
		}
		return fmt.Errorf("%s: %w", what, err)
	}
	fmt.Fprintf(p.w, "%s: %d of %d\n", what, n, n)
	return nil
}
