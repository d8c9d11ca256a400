package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/release"
)

// upgradeTimeout limits how long the new manager may take to answer.
const upgradeTimeout = 30 * time.Second

func newUpgradeCommand(e *env) *cobra.Command {
	var program string
	c := &cobra.Command{
		Use:   "upgrade",
		Short: "Replace the manager by this program, keeping processes and listeners",
		Args:  rejectArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if program == "" {
				var err error
				if program, err = os.Executable(); err != nil {
					return fmt.Errorf("upgrade: %w", err)
				}
			}
			return upgradeManager(c.Context(), e, program)
		},
	}
	c.Flags().StringVar(&program, "program", "", "another pgo (default this one)")
	return c
}

// upgradeManager replaces the running manager by program and waits until the new one answers. Where that does not start, the
// previous manager continues and the error has the reason.
func upgradeManager(ctx context.Context, e *env, program string) error {
	h, err := e.findHome()
	if err != nil {
		return err
	}
	client, err := control.Connect(ctx, h)
	if err != nil {
		return err
	}
	before, err := client.Info(ctx)
	if err != nil {
		return err
	}
	if _, err := client.RunCommand(ctx, "upgrade", control.UpgradeRequest{Program: program}); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, upgradeTimeout)
	defer cancel()
	for {
		now, err := client.Info(limited)
		switch {
		case err == nil && now.ManagerPID == before.ManagerPID, err != nil && limited.Err() == nil:
			select {
			case <-time.After(10 * time.Millisecond):
			case <-limited.Done():
			}
		case err != nil:
			return fmt.Errorf("wait for the new manager: %w", err)
		case now.UpgradeFailure != "":
			return errors.New("upgrade: the new manager did not start, the previous one continues: " + now.UpgradeFailure)
		default:
			_, err := fmt.Fprintf(e.stdout, "the manager is version %s now, pid %d (was %s, pid %d)\n",
				now.Version, now.ManagerPID, before.Version, before.ManagerPID)
			return err
		}
	}
}

// replaceOtherManager upgrades the manager where one runs and is another program than this one, by content.
func replaceOtherManager(ctx context.Context, e *env, h home.Home) error {
	client, err := control.Connect(ctx, h)
	if err != nil {
		return nil //nolint:nilerr // none runs, or the command itself meets the error
	}
	info, err := client.Info(ctx)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	if same, err := release.EqualContent(fmt.Sprintf("/proc/%d/exe", info.ManagerPID), program); err != nil || same {
		return nil //nolint:nilerr // what cannot be compared continues
	}
	return upgradeManager(ctx, e, program)
}
