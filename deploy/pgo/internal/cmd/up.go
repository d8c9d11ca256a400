package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/manager"
	"pgo/deploy/pgo/internal/processfile"
)

func (a *app) up() *cobra.Command {
	var foreground bool
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "up",
		Short: "start everything and wait until it is ready",
		Long: "Starts pgo in the background where it does not run, starts what does not run, starts anew what has changed in\n" +
			"the process file, and waits until everything is ready. Doing it twice is harmless.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, file, err := a.load()
			if err != nil {
				return err
			}
			if foreground {
				return a.runForeground(c.Context(), h, file)
			}
			return a.bringUp(c.Context(), h, file, timeout)
		},
	}
	c.Flags().BoolVar(&foreground, "foreground", false, "stay, as containers and systemd want it; SIGTERM is pgo down")
	c.Flags().DurationVar(&timeout, "timeout", 15*time.Minute, "give up waiting after this long; what was started goes on")
	return c
}

func (a *app) bringUp(ctx context.Context, h home.Home, file processfile.File, timeout time.Duration) error {
	client, started, err := a.connectOrStart(ctx, h)
	if err != nil {
		return err
	}
	f, err := a.follow(ctx, h, client)
	if err != nil {
		return err
	}
	if _, err := f.do(ctx, "apply", control.ApplyRequest{File: file}); err != nil {
		if started && ctx.Err() == nil {
			// Nothing was started, so nothing stays.
			if _, undone := f.do(ctx, "down", nil); undone != nil {
				return errors.Join(err, undone)
			}
			return errors.Join(err, awaitEnd(ctx, h))
		}
		return err
	}
	if err := f.untilReady(ctx, named, []string{"all"}, timeout); err != nil {
		return err
	}
	if n := len(file.Processes); n == 1 {
		fmt.Fprintln(a.stdout, "the process is ready")
	} else {
		fmt.Fprintf(a.stdout, "all %d processes are ready\n", n)
	}
	return nil
}

// connectOrStart finds the manager or starts one; started tells which.
func (a *app) connectOrStart(ctx context.Context, h home.Home) (c *control.Client, started bool, err error) {
	if err := h.CreateDirs(); err != nil {
		return nil, false, err
	}
	if c, err = control.Connect(ctx, h); !errors.Is(err, control.ErrNotRunning) {
		return c, false, err
	}
	if left, err := manager.Leftovers(h); err == nil && len(left) > 0 {
		var names []string
		for _, l := range left {
			names = append(names, fmt.Sprintf("%s (pid %d)", l.Name, l.PID))
		}
		fmt.Fprintf(a.stdout, "pgo was killed: stopping what it left behind: %s\n", strings.Join(names, ", "))
	}
	switch err := spawnKeeper(h); {
	case errors.Is(err, home.ErrLocked):
		// Someone else's pgo up was faster; its manager answers soon.
	case err != nil:
		return nil, false, err
	default:
		started = true
	}
	for end := time.Now().Add(10 * time.Second); ; {
		if c, err = control.Connect(ctx, h); !errors.Is(err, control.ErrNotRunning) || time.Now().After(end) {
			return c, started, err
		}
		select {
		case <-ctx.Done():
			return nil, started, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (a *app) runForeground(ctx context.Context, h home.Home, file processfile.File) error {
	return a.keep(ctx, h, &file, func(error) {})
}
