package cmd

import (
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/ship"
)

func (a *app) rollback() *cobra.Command {
	var timeout time.Duration
	var r remote
	c := &cobra.Command{
		Use:   "rollback [NAME [RELEASE]]",
		Short: "run the good release from before again, with no dropped request",
		Long: "Replaces a watched process by the last release that had proven itself before the one that runs, or by the one named:\n" +
			"by its version, its SHA-256 or the beginning of that. Without a name it is the process that was deployed last.\n" +
			"With --to it is done on that host, and without a name it is all of the last deploy.\n" +
			"What is left is not taken again. The gates are asked first: a release that a migration has made too old is refused.",
		Args: func(c *cobra.Command, args []string) error {
			if err := cobra.MaximumNArgs(2)(c, args); err != nil {
				return usageError{err}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			args = append(args, "", "")
			if len(r.to) > 0 {
				r.ship.Process, r.ship.Release = args[0], args[1]
				return a.toEach(c.Context(), &r, ship.Rollback)
			}
			ask := control.RollbackRequest{Name: args[0], Release: args[1]}
			return a.actWith(c.Context(), "rollback", ask, func(f *follower) error {
				if ask.Name == "" {
					return nil // it is through when it answers
				}
				return f.untilReady(c.Context(), named, []string{ask.Name}, timeout)
			})
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 15*time.Minute, "give up waiting after this long; what was begun goes on")
	c.Flags().BoolVar(&r.asJSON, "json", false, "with --to: one JSON object a line, for CI")
	a.remoteFlags(c, &r)
	return c
}
