package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/manager"
)

func (a *app) down() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "stop everything, pgo included",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, client, err := a.connect(c.Context())
			if errors.Is(err, control.ErrNotRunning) {
				return a.stopLeftovers(h)
			}
			if err != nil {
				return err
			}
			f, err := a.follow(c.Context(), h, client)
			if err != nil {
				return err
			}
			if _, err := f.do(c.Context(), "down", nil); err != nil {
				if c.Context().Err() != nil {
					return errors.New("interrupted: pgo goes on stopping everything")
				}
				return err
			}
			if err := awaitEnd(c.Context(), h); err != nil {
				return err
			}
			fmt.Fprintln(a.stdout, "everything is stopped")
			return nil
		},
	}
}

// awaitEnd returns when the keeper of the home is gone.
func awaitEnd(ctx context.Context, h home.Home) error {
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

// stopLeftovers does what a manager that was killed could not do.
func (a *app) stopLeftovers(h home.Home) error {
	if err := h.CreateDirs(); err != nil {
		return err
	}
	lock, err := h.Lock()
	if err != nil {
		return err // a manager that is just starting or ending
	}
	defer lock.Close()
	left, err := manager.Leftovers(h)
	if err != nil {
		return err
	}
	if len(left) == 0 {
		fmt.Fprintln(a.stdout, "nothing runs")
		return nil
	}
	manager.StopLeftovers(h, left, func(l manager.Leftover) {
		fmt.Fprintf(a.stdout, "%-12s %-11s left behind by a pgo that was killed\n", l.Name, control.Stopped)
	})
	h.RemoveManager()
	fmt.Fprintln(a.stdout, "everything is stopped")
	return nil
}
