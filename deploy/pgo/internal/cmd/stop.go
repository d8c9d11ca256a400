package cmd

import (
	"errors"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
)

// plain is a command that is over when the manager has answered.
func (a *app) plain(verb, short string) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " NAME...",
		Short: short,
		Args:  needNames,
		RunE: func(c *cobra.Command, names []string) error {
			return a.act(c.Context(), verb, names, func(*follower) error { return nil })
		},
	}
}

func (a *app) stop() *cobra.Command {
	return a.plain("stop", "stop processes; they stay stopped until start or up")
}

func (a *app) delete() *cobra.Command {
	return a.plain("delete", "stop processes and forget them, until the process file is applied again")
}

func (a *app) flush() *cobra.Command {
	return a.plain("flush", "empty the logs of processes, what was rotated included")
}

func (a *app) signal() *cobra.Command {
	return &cobra.Command{
		Use:   "signal SIGNAL NAME...",
		Short: "send a signal, such as SIGHUP, to the processes themselves",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usageError{errors.New("name a signal, such as SIGHUP, and at least one process, or all")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			ask := control.SignalRequest{Signal: args[0], Names: args[1:]}
			return a.actWith(c.Context(), "signal", ask, func(*follower) error { return nil })
		},
	}
}
