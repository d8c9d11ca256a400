package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/doctor"
)

func (a *app) host() *cobra.Command {
	c := &cobra.Command{
		Use:   "host",
		Short: "make a machine one that is deployed to, and look whether it is fit for it",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var asJSON bool
	look := &cobra.Command{
		Use:   "doctor",
		Short: "look at the home, the disk, the manager, what can be deployed, the deploy key and the open ports; changes nothing",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := a.home()
			if err != nil {
				return err
			}
			all := doctor.Machine{Home: h, Version: a.build.Version, UserHome: a.getenv("HOME"), Root: "/"}.Inspect(c.Context())
			if asJSON {
				err = a.printJSON(all)
			}
			bad := 0
			for _, f := range all {
				mark := "ok"
				if !f.OK {
					bad++
					mark = "BAD"
				}
				if asJSON {
					continue
				}
				fmt.Fprintf(a.stdout, "%-4s %-11s %s\n", mark, f.Subject, f.Text)
				if f.Advice != "" {
					fmt.Fprintf(a.stdout, "     %-11s try: %s\n", "", f.Advice)
				}
			}
			if bad > 0 {
				err = errors.Join(err, fmt.Errorf("%d of %d are not as they should be", bad, len(all)))
			}
			return err
		},
	}
	look.Flags().BoolVar(&asJSON, "json", false, "as a JSON array")
	c.AddCommand(look, a.hostSetup(), a.hostSettle())
	return c
}
