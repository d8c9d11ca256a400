package main

import (
	"fmt"

	"github.com/spf13/cobra"
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
			_, err = fmt.Fprintf(a.stdout, "%s is valid: %d processes\n", file.Path, len(file.Processes))
			return err
		},
	}
}
