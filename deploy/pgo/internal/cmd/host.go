package cmd

import "github.com/spf13/cobra"

func newHostCommand(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "host",
		Short: "Set up, check and recover a deployment host",
		Args:  rejectUnknownCommand,
		RunE:  showHelp,

		SuggestionsMinimumDistance: 2,
	}
	// Units that hosts have exported before call settle. It is accepted for one release.
	settle := newHostRecoverCommand(e, "settle")
	settle.Deprecated = "its name is pgo host recover"
	c.AddCommand(newHostDoctorCommand(e), newHostSetupCommand(e), newHostRecoverCommand(e, "recover"), settle)
	return c
}
