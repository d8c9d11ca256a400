package cmd

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
)

func (a *app) apply() *cobra.Command {
	var dryRun bool
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "apply",
		Short: "make the process file real in a pgo that runs, touching only what changed",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, file, err := a.load()
			if err != nil {
				return err
			}
			_, client, err := a.connect(c.Context())
			if dryRun && errors.Is(err, control.ErrNotRunning) {
				for _, p := range file.Processes {
					fmt.Fprintf(a.stdout, "%-12s %-8s %s\n", p.Name, "start", "nothing runs")
				}
				return nil
			}
			if err != nil {
				return err
			}
			if !dryRun {
				return a.bringUp(c.Context(), h, file, timeout)
			}
			plan, err := client.PlanApply(c.Context(), control.ApplyRequest{File: file})
			if err != nil {
				return err
			}
			for _, s := range plan.Steps {
				fmt.Fprintf(a.stdout, "%-12s %-8s %s\n", s.Process, s.Action, s.Reason)
			}
			if len(plan.Steps) == 0 {
				fmt.Fprintln(a.stdout, "nothing to do")
			}
			return nil
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be done")
	c.Flags().DurationVar(&timeout, "timeout", 15*time.Minute, "give up waiting after this long; what was started goes on")
	return c
}
