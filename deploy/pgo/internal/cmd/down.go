package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/supervise"
)

func newDownCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop all processes and pgo itself",
		Args:  rejectArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx := c.Context()
			h, client, err := e.connect(ctx)
			if errors.Is(err, control.ErrNotRunning) {
				return stopLeftovers(e, h)
			}
			if err != nil {
				return err
			}
			f, err := newFollower(ctx, e, h, client)
			if err != nil {
				return err
			}
			if _, err := f.runCommand(ctx, "down", nil); err != nil {
				if ctx.Err() != nil {
					return errors.New("interrupted: pgo continues to stop everything")
				}
				return err
			}
			if err := awaitKeeperEnd(ctx, h); err != nil {
				return err
			}
			fmt.Fprintln(e.stdout, "everything is stopped")
			return nil
		},
	}
}

// awaitKeeperEnd waits until the keeper of the home is gone.
func awaitKeeperEnd(ctx context.Context, h home.Home) error {
	for {
		lock, err := h.Lock()
		if err == nil {
			return lock.Close()
		}
		if !errors.Is(err, home.ErrLocked) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.New("interrupted: pgo is about to end")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// stopLeftovers stops the processes that a killed pgo left behind. It returns home.ErrLocked while a keeper starts or ends.
func stopLeftovers(e *env, h home.Home) error {
	if err := h.CreateDirs(); err != nil {
		return err
	}
	lock, err := h.Lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	left, err := supervise.Leftovers(h)
	if err != nil {
		return err
	}
	if len(left) == 0 {
		fmt.Fprintln(e.stdout, "nothing runs")
		return nil
	}
	supervise.StopLeftovers(h, left, func(l supervise.Leftover) {
		fmt.Fprintf(e.stdout, "%-12s %-11s left behind by a pgo that was killed\n", l.Name, control.Stopped)
	})
	h.RemoveManager()
	fmt.Fprintln(e.stdout, "everything is stopped")
	return nil
}
