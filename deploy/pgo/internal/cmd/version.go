package cmd

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func newVersionCommand(e *env) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program",
		Args:  rejectArgs,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return e.printJSON(map[string]string{
					"version": e.build.Version, "commit": e.build.Commit, "time": e.build.Time,
					"go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
				})
			}
			_, err := fmt.Fprintln(e.stdout, e.build.Version)
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}
