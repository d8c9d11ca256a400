package cmd

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/terminal"
)

func newApplyCommand(e *env) *cobra.Command {
	var dryRun bool
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "apply",
		Short: "Apply the process file to a running pgo, touching only what has changed",
		Args:  rejectArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, file, err := e.loadProcessFile()
			if err != nil {
				return err
			}
			_, client, err := e.connect(c.Context())
			if dryRun && errors.Is(err, control.ErrNotRunning) {
				for _, p := range file.Processes {
					_ = terminal.PrintLine(e.stdout, "%-12s %-8s %s", p.Name, "start", "nothing runs")
				}
				return nil
			}
			if err != nil {
				return err
			}
			if !dryRun {
				return applyAndWait(c.Context(), e, h, file, timeout)
			}
			plan, err := client.PlanApply(c.Context(), control.ApplyRequest{File: file})
			if err != nil {
				return err
			}
			for _, s := range plan.Steps {
				_ = terminal.PrintLine(e.stdout, "%-12s %-8s %s", s.Process, s.Action, s.Reason)
			}
			if len(plan.Steps) == 0 {
				fmt.Fprintln(e.stdout, "nothing to do")
			}
			return nil
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "print what would be done and change nothing")
	addTimeout(c.Flags(), &timeout)
	return c
}
