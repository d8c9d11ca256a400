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
			h, err := a.home()
			if err != nil {
				return err
			}
			file, err := a.load(h)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s is valid: %d processes\n", file.Path, len(file.Processes))
			return err
		},
	}
}
