package cmd

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/systemd"
)

func newExportCommand(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "export",
		Short: "Export the processes for another process manager",
		Args:  rejectArgs,
		RunE:  showHelp,
	}
	c.AddCommand(newExportSystemdCommand(e))
	return c
}

func newExportSystemdCommand(e *env) *cobra.Command {
	var dir, user string
	c := &cobra.Command{
		Use:   "systemd [NAME...]",
		Short: "Print systemd units that run the processes, or write them into a directory",
		RunE: func(_ *cobra.Command, names []string) error {
			h, file, err := e.loadProcessFile()
			if err != nil {
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			units, notes, err := systemd.Export(file, systemd.Options{
				Home: string(h), User: user, Only: names, Program: self, Lookup: e.lookupWithHome(h),
			})
			if err != nil {
				return err
			}
			for _, note := range notes {
				fmt.Fprintln(e.stderr, "pgo:", note)
			}
			return writeUnits(e.stdout, dir, units)
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "the directory, such as /etc/systemd/system; it has to exist (default: print)")
	c.Flags().StringVar(&user, "user", "", "the user of processes for which the process file names none (default root)")
	return c
}

// writeUnits writes the units into dir and prints their paths; without dir it prints their content.
func writeUnits(w io.Writer, dir string, units []systemd.Unit) error {
	for i, u := range units {
		if dir == "" {
			if i > 0 {
				fmt.Fprintln(w)
			}
			fmt.Fprintf(w, "# %s\n%s", u.Name, u.Content)
			continue
		}
		path := filepath.Join(dir, u.Name)
		if err := os.WriteFile(path, []byte(u.Content), 0o644); err != nil {
			return fmt.Errorf("export: %w", err)
		}
		fmt.Fprintln(w, path)
	}
	return nil
}
