package cmd

import (
	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
)

func newStopCommand(e *env) *cobra.Command {
	return newSimpleCommand(e, "stop", "Stop processes until the next start or up")
}

// newSimpleCommand returns a command that is complete when the manager has answered.
func newSimpleCommand(e *env, verb, short string) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " NAME...",
		Short: short,
		Args:  requireNames,
		RunE: func(c *cobra.Command, names []string) error {
			return runAndFollow(c.Context(), e, verb, control.NamesRequest{Names: names}, nil)
		},
	}
}
