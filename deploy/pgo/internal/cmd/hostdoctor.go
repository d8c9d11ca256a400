package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/doctor"
	"pgo/deploy/pgo/internal/terminal"
)

func newHostDoctorCommand(e *env) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check home, disk, manager, deployables, deploy key and open ports, changing nothing",
		Args:  rejectArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := e.findHome()
			if err != nil {
				return err
			}
			findings := doctor.Machine{Home: h, Version: e.build.Version, UserHome: e.getenv("HOME"), Root: "/"}.Inspect(c.Context())
			if asJSON {
				err = e.printJSON(findings)
			}
			failed := 0
			for _, f := range findings {
				mark := "ok"
				if !f.OK {
					failed++
					mark = "BAD"
				}
				if asJSON {
					continue
				}
				_ = terminal.PrintLine(e.stdout, "%-4s %-11s %s", mark, f.Subject, f.Text)
				if f.Advice != "" {
					_ = terminal.PrintLine(e.stdout, "     %-11s try: %s", "", f.Advice)
				}
			}
			if failed > 0 {
				err = errors.Join(err, fmt.Errorf("%d of %d checks failed", failed, len(findings)))
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return c
}
