package cmd

import (
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/ship"
)

func newRollbackCommand(e *env) *cobra.Command {
	var timeout time.Duration
	var r remote
	c := &cobra.Command{
		Use:   "rollback [NAME [RELEASE]]",
		Short: "Roll back to the previous good release without dropping requests",
		Long: "Replaces a watched process by the last good release before the current one, or by the release named: by its version, its\n" +
			"SHA-256 or the beginning of that. Without a name it rolls back the process that was deployed last.\n" +
			"With --to it rolls back on that host, and without a name all processes of the last deploy there.\n" +
			"The release that is rolled back is not deployed again by itself. The gates are asked first: a release that is too old for\n" +
			"the migrated schema is refused.",
		Args: func(c *cobra.Command, args []string) error {
			if err := cobra.MaximumNArgs(2)(c, args); err != nil {
				return usageError{err}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			args = append(args, "", "")
			if len(r.hosts) > 0 {
				r.ship.Process, r.ship.Release = args[0], args[1]
				if err := r.checkEachHost(c.Context(), e, checkReachable); err != nil {
					return err
				}
				return r.runOnEachHost(c.Context(), e, ship.Rollback)
			}
			request := control.RollbackRequest{Name: args[0], Release: args[1]}
			return runAndFollow(c.Context(), e, "rollback", request, func(f *follower) error {
				if request.Name == "" {
					return nil // the manager answers when it is complete
				}
				return f.awaitReady(c.Context(), selectNamed, []string{request.Name}, timeout)
			})
		},
	}
	addTimeout(c.Flags(), &timeout)
	c.Flags().BoolVar(&r.asJSON, "json", false, "with --to: print one JSON object a line, for CI")
	r.addFlags(c.Flags())
	return c
}
