package cmd

import "github.com/spf13/cobra"

func newDeleteCommand(e *env) *cobra.Command {
	return newSimpleCommand(e, "delete", "Stop processes and remove them until the process file is applied again")
}
