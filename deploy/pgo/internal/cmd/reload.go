package cmd

import (
	"time"

	"github.com/spf13/cobra"
)

func (a *app) reload() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "reload NAME...",
		Short: "replace running processes by new ones with no dropped request",
		Long: "Starts a new process beside each old one, waits until it says by itself that it is ready and has run for a\n" +
			"moment, and only then asks the old one to end. One that does not become ready is thrown away: the old one goes on\n" +
			"serving, and this command ends with 1 and the last words of the new one.",
		Args: needNames,
		RunE: func(c *cobra.Command, names []string) error {
			return a.act(c.Context(), "reload", names, func(f *follower) error {
				return f.untilReady(c.Context(), named, names, timeout)
			})
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 15*time.Minute, "give up waiting after this long; what was begun goes on")
	return c
}
