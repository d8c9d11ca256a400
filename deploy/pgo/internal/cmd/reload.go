package cmd

import (
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
)

func newReloadCommand(e *env) *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "reload NAME...",
		Short: "Reload processes without dropping requests",
		Long: "Starts a new process beside each old one, waits until the new one reports that it is ready and has run for a moment,\n" +
			"and only then asks the old one to end. A new process that does not become ready is stopped: the old one continues to\n" +
			"serve, and this command ends with exit code 1 and the last log lines of the new one.",
		Args: requireNames,
		RunE: func(c *cobra.Command, names []string) error {
			return runAndFollow(c.Context(), e, "reload", control.NamesRequest{Names: names}, func(f *follower) error {
				return f.awaitReady(c.Context(), selectNamed, names, timeout)
			})
		},
	}
	addTimeout(c.Flags(), &timeout)
	return c
}
