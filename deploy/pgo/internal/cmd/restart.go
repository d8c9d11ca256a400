package cmd

import "github.com/spf13/cobra"

func newRestartCommand(e *env) *cobra.Command {
	return newStartingCommand(e, "restart", "Stop and start processes, and wait until they are ready")
}
