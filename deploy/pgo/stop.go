package main

import "github.com/spf13/cobra"

func (a *app) stop() *cobra.Command {
	return &cobra.Command{
		Use:   "stop NAME...",
		Short: "stop processes; they stay stopped until start or up",
		Args:  named,
		RunE: func(c *cobra.Command, names []string) error {
			return a.act(c.Context(), "stop", names, func(*follower) error { return nil })
		},
	}
}
