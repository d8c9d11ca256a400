package cmd

import "github.com/spf13/cobra"

func (a *app) restart() *cobra.Command {
	return a.startCommand("restart", "stop and start processes, and wait until they are ready")
}
