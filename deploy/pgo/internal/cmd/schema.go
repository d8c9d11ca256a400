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
			content, err := processfile.Schema()
			if err != nil {
				return err
			}
			_, err = e.stdout.Write(content)
			return err
		},
	}
}
