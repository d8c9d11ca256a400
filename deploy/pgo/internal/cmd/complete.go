package cmd

import (
	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
)

// complete offers the names of processes: of those that run, else of the process file's.
func (a *app) complete(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	names := []string{"all"}
	h, err := a.home()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if client, err := control.Connect(c.Context(), h); err == nil {
		if processes, err := client.ListProcesses(c.Context()); err == nil {
			for _, p := range processes {
				if p.Instance == 0 {
					names = append(names, p.Name)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		}
	}
	if _, file, err := a.load(); err == nil {
		for _, p := range file.Processes {
			names = append(names, p.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
