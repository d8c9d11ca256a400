package cmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/logfile"
	"pgo/deploy/pgo/internal/manager"
)

func (a *app) events() *cobra.Command {
	var follow, asJSON bool
	var lines int
	c := &cobra.Command{
		Use:   "events",
		Short: "show what happened to the processes: every change of state, with its time and reason",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if lines < 0 {
				return usageError{fmt.Errorf("-n %d: expected a number of lines", lines)}
			}
			h, err := a.home()
			if err != nil {
				return err
			}
			last, offset, err := manager.LastEvents(h, lines)
			if err != nil {
				return err
			}
			write := func(line []byte) error { return a.printEvent(line, asJSON) }
			for line := range bytes.Lines(last) {
				if err := write(line); err != nil {
					return err
				}
			}
			if !follow {
				return nil
			}
			return logfile.FollowLines(c.Context(), h.EventsPath(), offset, write)
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens from now on")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON lines")
	c.Flags().IntVarP(&lines, "lines", "n", 50, "how many of the last events")
	return c
}

func (a *app) printEvent(line []byte, asJSON bool) error {
	if asJSON {
		_, err := a.stdout.Write(line)
		return err
	}
	var e control.Event
	if err := json.Unmarshal(line, &e); err != nil {
		return nil //nolint:nilerr // half a line, of a disk that was full
	}
	_, err := fmt.Fprintf(a.stdout, "%s  %-14s %-7d %-11s %s\n",
		e.Time.Local().Format(time.DateTime+".000"), fmt.Sprintf("%s/%d", e.Process, e.Instance), e.PID, e.To, e.Reason)
	return err
}
