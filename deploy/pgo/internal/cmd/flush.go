package cmd

import "github.com/spf13/cobra"

func newFlushCommand(e *env) *cobra.Command {
	return newSimpleCommand(e, "flush", "Empty the logs of processes, rotated files included")
}
