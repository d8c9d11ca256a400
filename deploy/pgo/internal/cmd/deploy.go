package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/ship"
)

func newDeployCommand(e *env) *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use:   "deploy [SERVICE...] --to HOST[,HOST...]",
		Short: "Deploy changed programs to a host, all or none, without dropping requests",
		Long: "Sends the programs that the host does not run yet over your own ssh, as the difference to a release that it has. The host\n" +
			"verifies them, asks the gates (bootcheck migrates), and then replaces the processes in the order of their dependencies.\n" +
			"If anything fails before all have passed their probation, all are rolled back.\n\n" +
			"Exit codes: 0 done, or nothing to do; 65 refused, nothing was changed; 69 the host is unreachable, or pgo does not run\n" +
			"there; 70 failed, and all was rolled back; 71 failed, and not all could be rolled back; 74 the connection was lost and\n" +
			"the host cannot be asked for the result; 75 another deploy is under way; 64 and 130 as for all commands.",
		RunE: func(c *cobra.Command, services []string) error {
			r.ship.Services = services
			if err := r.checkEachHost(c.Context(), e, checkDeploy); err != nil {
				return err
			}
			return r.runOnEachHost(c.Context(), e, ship.Deploy)
		},
	}
	r.addFlags(c.Flags())
	f := c.Flags()
	f.BoolVar(&r.asJSON, "json", false, "print one JSON object a line, for CI")
	f.StringVar(&r.ship.From, "from", "", "directory of the programs: NAME or linux-amd64/NAME in it (default dist, else bin)")
	f.BoolVar(&r.ship.Wait, "wait", false, "wait for another deploy to end instead of being refused")
	f.BoolVar(&r.ship.DryRun, "dry-run", false, "send and check, but change nothing: print what would be done and what bootcheck would migrate")
	f.BoolVar(&r.ship.Again, "again", false, "also deploy a release that failed before")
	return c
}

// checkDeploy does all of a deploy that touches no process: the deploy after it sends nothing again.
func checkDeploy(ctx context.Context, host string, o ship.Options) error {
	o.DryRun = true
	return ship.Deploy(ctx, host, o)
}

// checkReachable checks that a host answers.
func checkReachable(ctx context.Context, host string, o ship.Options) error {
	_, _, err := ship.ListReleases(ctx, host, o)
	return err
}
