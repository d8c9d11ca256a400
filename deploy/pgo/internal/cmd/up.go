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
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/supervise"
)

// connectTimeout limits how long a manager that was just started may take to answer.
const connectTimeout = 10 * time.Second

func newUpCommand(e *env) *cobra.Command {
	var foreground bool
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "up",
		Short: "Start all processes and wait until they are ready",
		Long: "Starts pgo in the background if it does not run, starts the processes that do not run, restarts those that have changed\n" +
			"in the process file, and waits until all are ready. A second run changes nothing. Where another pgo manages the processes\n" +
			"than the one that is run, by its content, it upgrades the manager first.",
		Args: rejectArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, file, err := e.loadProcessFile()
			if err != nil {
				return err
			}
			if foreground {
				return keepHome(c.Context(), e, h, &file, func(error) {})
			}
			if err := replaceOtherManager(c.Context(), e, h); err != nil {
				return err
			}
			return applyAndWait(c.Context(), e, h, file, timeout)
		},
	}
	c.Flags().BoolVar(&foreground, "foreground", false, "stay in the foreground, for containers and systemd; SIGTERM does what pgo down does")
	addTimeout(c.Flags(), &timeout)
	return c
}

// applyAndWait has the manager apply the process file, starting a manager where none runs, and waits until all processes
// are ready. Where the file cannot be applied, a manager that was started for it is stopped again.
func applyAndWait(ctx context.Context, e *env, h home.Home, file processfile.File, timeout time.Duration) error {
	client, started, err := connectOrStart(ctx, e, h)
	if err != nil {
		return err
	}
	f, err := newFollower(ctx, e, h, client)
	if err != nil {
		return err
	}
	if err := f.runCommand(ctx, "apply", control.ApplyRequest{File: file}); err != nil {
		if started && ctx.Err() == nil {
			if failed := f.runCommand(ctx, "down", nil); failed != nil {
				return errors.Join(err, failed)
			}
			if !(keeperProcess{home: h, pid: client.Keeper()}).awaitEnd(ctx, keeperEndTimeout) {
				return errors.Join(err, errors.New("the keeper that was started for it has not ended yet"))
			}
			return err
		}
		return err
	}
	if err := f.awaitReady(ctx, selectNamed, []string{"all"}, timeout); err != nil {
		return err
	}
	if n := len(file.Processes); n == 1 {
		fmt.Fprintln(e.stdout, "the process is ready")
	} else {
		fmt.Fprintf(e.stdout, "all %d processes are ready\n", n)
	}
	return nil
}

// connectOrStart connects to the manager, or starts one; started reports which.
func connectOrStart(ctx context.Context, e *env, h home.Home) (c *control.Client, started bool, err error) {
	if err := h.CreateDirs(); err != nil {
		return nil, false, err
	}
	if c, err = control.Connect(ctx, h); !errors.Is(err, control.ErrNotRunning) {
		return c, false, err
	}
	if left, err := supervise.Leftovers(h); err == nil && len(left) > 0 {
		var names []string
		for _, l := range left {
			names = append(names, fmt.Sprintf("%s (pid %d)", l.Name, l.PID))
		}
		fmt.Fprintf(e.stdout, "pgo was killed: stopping what it left behind: %s\n", strings.Join(names, ", "))
	}
	switch err := spawnKeeper(h); {
	case errors.Is(err, home.ErrLocked):
		// Another pgo up was faster; its manager answers soon.
	case err != nil:
		return nil, false, err
	default:
		started = true
	}
	for end := time.Now().Add(connectTimeout); ; {
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
