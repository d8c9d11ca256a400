package cmd

import (
	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/processfile"
)

func newSchemaCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of process files, for editors",
		Args:  rejectArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := e.stdout.Write(processfile.Schema())
			return err
		},
	}
}
