package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/logfile"
)

// logView selects the lines to show.
type logView struct {
	lines  int // of the last ones; -1 all
	times  logfile.Range
	follow bool
}

func (v logView) hasTimes() bool { return v.times != logfile.Range{} }

func newLogsCommand(e *env) *cobra.Command {
	var v logView
	var since, until string
	c := &cobra.Command{
		Use:   "logs NAME...",
		Short: "Show the logs of processes, and of pgo itself as pgo",
		Long: "Shows the last lines of each log, or with --since and --until the lines of that time, of several processes in the order\n" +
			"of time. Rotated files are included. A time is RFC 3339, or how long ago: 10m, 36h, 7d.",
		Args: requireNames,
		RunE: func(c *cobra.Command, names []string) error {
			if v.lines < 0 {
				return usageErrorf("-n %d: expected a number of lines", v.lines)
			}
			var err error
			if v.times, err = parseTimeRange(since, until, time.Now()); err != nil {
				return usageError{err}
			}
			if v.follow && until != "" {
				return usageErrorf("-f continues, --until ends: use one of them")
			}
			if v.hasTimes() && !c.Flags().Changed("lines") {
				v.lines = -1
			}
			h, err := e.findHome()
			if err != nil {
				return err
			}
			known, err := listLogs(h)
			if err != nil {
				return err
			}
			if names, err = selectLogs(known, names); err != nil {
				return err
			}
			w := &logWriter{stdout: e.stdout, prefixes: formatPrefixes(known, names, e.hasColors())}
			return showLogs(c.Context(), h, names, v, w)
		},
	}
	c.Flags().BoolVarP(&v.follow, "follow", "f", false, "continue with new lines")
	c.Flags().IntVarP(&v.lines, "lines", "n", 50, "how many of the last lines; with --since or --until all")
	c.Flags().StringVar(&since, "since", "", "only lines written since then")
	c.Flags().StringVar(&until, "until", "", "only lines written until then")
	return c
}

// listLogs returns the names of the logs in the home. A process has a log once it was started.
func listLogs(h home.Home) ([]string, error) {
	entries, err := os.ReadDir(h.LogDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("look for logs: %w", err)
	}
	var known []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".log"); ok {
			known = append(known, name)
		}
	}
	return known, nil
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

// showLogs shows the lines of the view, and follows the logs where the view does.
func showLogs(ctx context.Context, h home.Home, names []string, v logView, w *logWriter) error {
	show := showLastLines
	if v.hasTimes() {
		show = showTimeRange
	}
	offsets, err := show(ctx, h, names, v, w)
	if err != nil || !v.follow {
		return err
	}
	var all sync.WaitGroup
	failed := make([]error, len(names))
	for i, name := range names {
		all.Go(func() {
			failed[i] = logfile.FollowLines(ctx, h.LogPath(name), offsets[i], func(line []byte) error { return w.writeLine(name, line) })
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// showLastLines shows the last lines of each log, one log after the other, and returns the offset up to which each was read.
func showLastLines(_ context.Context, h home.Home, names []string, v logView, w *logWriter) ([]int64, error) {
	offsets := make([]int64, len(names))
	for i, name := range names {
		last, end, err := logfile.ReadTail(h.LogPath(name), v.lines)
		if err != nil {
			return nil, err
		}
		offsets[i] = end
		for line := range bytes.Lines(last) {
			if err := w.writeLine(name, line); err != nil {
				return nil, err
			}
		}
	}
	return offsets, nil
}

// logWriter prints lines of several logs, whole, each with the prefix of its log. It is safe for concurrent use.
type logWriter struct {
	stdout   io.Writer
	prefixes map[string]string

	mu sync.Mutex
}

func (w *logWriter) writeLine(name string, line []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := fmt.Fprintf(w.stdout, "%s%s\n", w.prefixes[name], bytes.TrimSuffix(line, []byte("\n")))
	return err
}

// palette has the colors that are legible on a light and on a dark background.
var palette = []string{"36", "33", "32", "35", "34", "31", "96", "95"}

// formatPrefixes returns the prefix of each log's lines, none where there is only one log. With colors each log has its
// own, the same one as long as the known logs stay the same.
func formatPrefixes(known, names []string, colors bool) map[string]string {
	prefixes := map[string]string{}
	if len(names) < 2 {
		return prefixes
	}
	for _, name := range names {
		prefixes[name] = fmt.Sprintf("%-12s | ", name)
		if colors {
			prefixes[name] = fmt.Sprintf("\x1b[%sm%-12s |\x1b[0m ", palette[slices.Index(known, name)%len(palette)], name)
		}
	}
	return prefixes
}
