package cmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/processfile"
)

func (a *app) check() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "say whether the process file is valid",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, file, err := a.load()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s is valid: %s\n", file.Path, count(len(file.Processes), "process", "processes"))
			return err
		},
	}
}

func (a *app) schema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "print the JSON Schema of process files, for editors",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			content, err := processfile.Schema()
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(content)
			return err
		},
	}
}

// count is a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
