package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
)

func (a *app) upgrade() *cobra.Command {
	var program string
	c := &cobra.Command{
		Use:   "upgrade",
		Short: "start the manager anew from this program; processes and listeners stay",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if program == "" {
				var err error
				if program, err = os.Executable(); err != nil {
					return fmt.Errorf("upgrade: %w", err)
				}
			}
			return a.upgradeTo(c.Context(), program)
		},
	}
	c.Flags().StringVar(&program, "program", "", "another pgo (default this one)")
	return c
}

func (a *app) upgradeTo(ctx context.Context, program string) error {
	h, err := a.home()
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
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
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
			return errors.New("upgrade: the new manager did not start, the one from before goes on: " + now.UpgradeFailure)
		default:
			_, err := fmt.Fprintf(a.stdout, "the manager is version %s now, pid %d (was %s, pid %d)\n",
				now.Version, now.ManagerPID, before.Version, before.ManagerPID)
			return err
		}
	}
}
