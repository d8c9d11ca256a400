package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/logfile"
	"pgo/deploy/pgo/internal/logview"
	"pgo/deploy/pgo/internal/manager"
	"pgo/deploy/pgo/internal/terminal"
)

func newEventsCommand(e *env) *cobra.Command {
	var follow, asJSON bool
	var lines int
	c := &cobra.Command{
		Use:   "events",
		Short: "Show every change of state of the processes, with its time and reason",
		Args:  rejectArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if lines < 0 {
				return usageErrorf("-n %d: expected a number of lines", lines)
			}
			h, err := e.findHome()
			if err != nil {
				return err
			}
			last, offset, err := manager.LastEvents(h, lines)
			if err != nil {
				return err
			}
			write := func(line []byte) error { return printEvent(e.stdout, line, asJSON) }
			for line := range bytes.Lines(last) {
				if err := write(line); err != nil {
					return err
				}
			}
			if !follow {
				return nil
			}
			return logview.RunWhileRead(c.Context(), e.stdout, func(ctx context.Context) error {
				return logfile.FollowLines(ctx, h.EventsPath(), offset, write)
			})
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "continue with new events")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON lines")
	c.Flags().IntVarP(&lines, "lines", "n", 50, "how many of the last events")
	return c
}

// printEvent prints a line of the event log. It skips a line that is not JSON, which a full disk leaves.
func printEvent(w io.Writer, line []byte, asJSON bool) error {
	if asJSON {
		_, err := w.Write(terminal.EscapeJSON(line))
		return err
	}
	var event control.Event
	if err := json.Unmarshal(line, &event); err != nil {
		return nil //nolint:nilerr // half a line, of a disk that was full
	}
	return terminal.PrintLine(w, "%s  %-14s %-7d %-11s %s",
		event.Time.Local().Format(time.DateTime+".000"), fmt.Sprintf("%s/%d", event.Process, event.Instance), event.PID, event.To, event.Reason)
}
