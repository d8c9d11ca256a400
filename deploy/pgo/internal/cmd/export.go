package cmd

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/systemd"
)

func (a *app) export() *cobra.Command {
	c := &cobra.Command{
		Use:   "export",
		Short: "write the processes down for another process manager",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.exportSystemd())
	return c
}

func (a *app) exportSystemd() *cobra.Command {
	var dir, user string
	c := &cobra.Command{
		Use:   "systemd [NAME...]",
		Short: "print systemd units that run the processes, or write them into a folder",
		RunE: func(_ *cobra.Command, args []string) error {
			h, file, err := a.load()
			if err != nil {
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			units, notes, err := systemd.Export(file, systemd.Options{
				Home: string(h), User: user, Only: args, Program: self,
				Lookup: func(name string) (string, bool) {
					if name == "PGO_HOME" {
						return string(h), true
					}
					value := a.getenv(name)
					return value, value != ""
				},
			})
			if err != nil {
				return err
			}
			for _, note := range notes {
				fmt.Fprintln(a.stderr, "pgo:", note)
			}
			return a.writeUnits(dir, units)
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "the folder, as /etc/systemd/system; it has to exist (default: print)")
	c.Flags().StringVar(&user, "user", "", "whom processes run as for which the process file names nobody (default root)")
	return c
}

func (a *app) writeUnits(dir string, units []systemd.Unit) error {
	for i, u := range units {
		if dir == "" {
			if i > 0 {
				fmt.Fprintln(a.stdout)
			}
			fmt.Fprintf(a.stdout, "# %s\n%s", u.Name, u.Content)
			continue
		}
		path := filepath.Join(dir, u.Name)
		if err := os.WriteFile(path, []byte(u.Content), 0o644); err != nil {
			return fmt.Errorf("export: %w", err)
		}
		fmt.Fprintln(a.stdout, path)
	}
	return nil
}
