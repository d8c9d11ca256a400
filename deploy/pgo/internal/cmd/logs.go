package cmd

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/logfile"
	"pgo/deploy/pgo/internal/logview"
)

func newLogsCommand(e *env) *cobra.Command {
	var v logview.View
	var since, until, pattern, level string
	var asJSON bool
	c := &cobra.Command{
		Use:   "logs NAME...",
		Short: "Show the logs of processes, and of pgo itself as pgo",
		Long: "Shows the last lines of each log, or with --since and --until the lines of that time, of several processes in the order\n" +
			"of time. Rotated files are included. A time is RFC 3339, or how long ago: 10m, 36h, 7d.\n" +
			"On a terminal JSON lines are shown as time, level, message and fields; elsewhere lines stay as they are. A line without a\n" +
			"level belongs to the line before it.",
		Args: requireNames,
		RunE: func(c *cobra.Command, names []string) error {
			if v.Lines < 0 {
				return usageErrorf("-n %d: expected a number of lines", v.Lines)
			}
			var err error
			if v.Times, err = logview.ParseTimeRange(since, until, time.Now()); err != nil {
				return usageError{err}
			}
			if v.Filter, err = logview.NewFilter(pattern, level); err != nil {
				return usageError{err}
			}
			if v.Follow && until != "" {
				return usageErrorf("-f continues, --until ends: use one of them")
			}
			if v.HasTimes() && !c.Flags().Changed("lines") {
				v.Lines = -1
			}
			h, err := e.findHome()
			if err != nil {
				return err
			}
			known, err := logfile.ListNames(h.LogDir())
			if err != nil {
				return err
			}
			if names, err = selectLogs(known, names); err != nil {
				return err
			}
			return logview.Show(c.Context(), h, names, v, logview.NewPrinter(e.stdout, e.screen(), asJSON, known, names))
		},
	}
	c.Flags().BoolVarP(&v.Follow, "follow", "f", false, "continue with new lines")
	c.Flags().IntVarP(&v.Lines, "lines", "n", 50, "how many of the last lines; with --since or --until all")
	c.Flags().StringVar(&since, "since", "", "only lines written since then")
	c.Flags().StringVar(&pattern, "grep", "", "only lines that match this regular expression")
	c.Flags().StringVar(&level, "level", "", "only lines of this level or above: debug, info, warn, error or fatal")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON lines as they are, on a terminal too")
	c.Flags().StringVar(&until, "until", "", "only lines written until then")
	return c
}

// selectLogs returns the known logs that names match: of each process its stdout and its stderr. The log of pgo itself is
// selected only by its name. It returns an error for a name without a log.
func selectLogs(known, names []string) ([]string, error) {
	var selected []string
	for _, name := range names {
		pattern := name
		if name == "all" {
			pattern = "*"
		}
		found := false
		for _, k := range known {
			match, err := path.Match(pattern, strings.TrimSuffix(k, ".err"))
			if err != nil {
				return nil, usageErrorf("pattern %q: %w", name, err)
			}
			if match && (k != "pgo" || name == "pgo") && !slices.Contains(selected, k) {
				selected = append(selected, k)
			}
			found = found || match
		}
		if !found && name != "all" {
			return nil, fmt.Errorf("there is no log of %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return selected, nil
}
