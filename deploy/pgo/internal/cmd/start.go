package cmd

import (
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
)

func newStartCommand(e *env) *cobra.Command {
	return newStartingCommand(e, "start", "Start processes and wait until they are ready")
}

// newStartingCommand returns a command that waits until the named processes, and all that they start after, are ready.
func newStartingCommand(e *env, verb, short string) *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   verb + " NAME...",
		Short: short,
		Args:  requireNames,
		RunE: func(c *cobra.Command, names []string) error {
			return runAndFollow(c.Context(), e, verb, control.NamesRequest{Names: names}, func(f *follower) error {
				return f.awaitReady(c.Context(), selectWithDependencies, names, timeout)
			})
		},
	}
	addTimeout(c.Flags(), &timeout)
	return c
}
