package cmd

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newCheckCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check that the process file is valid",
		Args:  rejectArgs,
		RunE: func(*cobra.Command, []string) error {
			_, file, err := e.loadProcessFile()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.stdout, "%s is valid: %s\n", file.Path, formatCount(len(file.Processes), "process", "processes"))
			return err
		},
	}
}
