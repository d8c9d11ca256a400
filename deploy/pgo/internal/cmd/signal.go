package cmd

import (
	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
)

func newSignalCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "signal SIGNAL NAME...",
		Short: "Send a signal, such as SIGHUP, to processes",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usageErrorf("name a signal, such as SIGHUP, and at least one process, or all")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return runAndFollow(c.Context(), e, "signal", control.SignalRequest{Signal: args[0], Names: args[1:]}, nil)
		},
	}
}
