package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/logfile"
)

// logView is which lines are shown.
type logView struct {
	lines  int // of the last ones; -1 all
	times  logfile.Range
	follow bool
}

func (a *app) logs() *cobra.Command {
	var follow bool
	var lines int
	var since, until string
	c := &cobra.Command{
		Use:   "logs NAME...",
		Short: "show what processes wrote; pgo is the manager itself",
		Long: "Shows the last lines of each log, or with --since and --until what was written then, of several processes in the\n" +
			"order of time. Rotated files are looked through as well. A time is RFC 3339, or how long ago: 10m, 36h, 7d.",
		Args: needNames,
		RunE: func(c *cobra.Command, names []string) error {
			v := logView{lines: lines, follow: follow}
			if lines < 0 {
				return usageError{fmt.Errorf("-n %d: expected a number of lines", lines)}
			}
			var err error
			if v.times, err = timesOf(since, until, time.Now()); err != nil {
				return usageError{err}
			}
			if follow && until != "" {
				return usageError{errors.New("-f goes on, --until ends: one of them")}
			}
			if v.timed() && !c.Flags().Changed("lines") {
				v.lines = -1
			}
			h, err := a.home()
			if err != nil {
				return err
			}
			known, err := logsThere(h)
			if err != nil {
				return err
			}
			if names, err = logNames(known, names); err != nil {
				return err
			}
			return a.showLogs(c.Context(), h, a.prefixes(known, names), names, v)
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written from now on")
	c.Flags().IntVarP(&lines, "lines", "n", 50, "how many of the last lines; with --since or --until all")
	c.Flags().StringVar(&since, "since", "", "only what was written since then")
	c.Flags().StringVar(&until, "until", "", "only what was written until then")
	return c
}

func (v logView) timed() bool { return v.times != logfile.Range{} }

// timesOf reads the flags. Nothing is an open end.
func timesOf(since, until string, now time.Time) (logfile.Range, error) {
	var r logfile.Range
	for _, flag := range []struct {
		name, text string
		into       *time.Time
	}{{"since", since, &r.Since}, {"until", until, &r.Until}} {
		if flag.text == "" {
			continue
		}
		at, err := pointInTime(flag.text, now)
		if err != nil {
			return r, fmt.Errorf("--%s: %w", flag.name, err)
		}
		*flag.into = at
	}
	if !r.Until.IsZero() && r.Until.Before(r.Since) {
		return r, errors.New("--until is before --since")
	}
	return r, nil
}

func pointInTime(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	ago, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint16
		_, err = fmt.Sscanf(days+"\n", "%d\n", &n)
		if strconv.Itoa(int(n)) != days {
			err = errors.New("no number of days")
		}
		ago = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || ago < 0 {
		return time.Time{}, fmt.Errorf("expected a time such as 10m, 36h, 7d or 2026-01-31T15:04:05Z, found %q", text)
	}
	return now.Add(-ago), nil
}

// logsThere are the names of the logs that there are; a log is there once its process was started.
func logsThere(h home.Home) ([]string, error) {
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

// logNames checks names against the logs there are.
func logNames(known, names []string) ([]string, error) {
	var chosen []string
	for _, name := range names {
		pattern := name
		if name == "all" {
			pattern = "*"
		}
		found := false
		for _, k := range known {
			match, err := path.Match(pattern, strings.TrimSuffix(k, ".err"))
			if err != nil {
				return nil, usageError{fmt.Errorf("pattern %q: %w", name, err)}
			}
			if match && (k != "pgo" || name == "pgo") && !slices.Contains(chosen, k) {
				chosen = append(chosen, k)
			}
			found = found || match
		}
		if !found && name != "all" {
			return nil, fmt.Errorf("there is no log of %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

// palette are colours that can be read on a light and on a dark ground.
var palette = []string{"36", "33", "32", "35", "34", "31", "96", "95"}

// prefixes say which log a line is of, where there are several; on a terminal each has its colour, always the same one
// as long as the logs there are stay the same.
func (a *app) prefixes(known, names []string) map[string]string {
	all := map[string]string{}
	if len(names) < 2 {
		return all
	}
	colours := a.colours()
	for _, name := range names {
		all[name] = fmt.Sprintf("%-12s | ", name)
		if colours {
			all[name] = fmt.Sprintf("\x1b[%sm%-12s |\x1b[0m ", palette[slices.Index(known, name)%len(palette)], name)
		}
	}
	return all
}

func (a *app) showLogs(ctx context.Context, h home.Home, prefixes map[string]string, names []string, v logView) error {
	var mu sync.Mutex // lines stay whole
	write := func(name string, line []byte) error {
		mu.Lock()
		defer mu.Unlock()
		_, err := fmt.Fprintf(a.stdout, "%s%s\n", prefixes[name], bytes.TrimSuffix(line, []byte("\n")))
		return err
	}
	show := showLast
	if v.timed() {
		show = showTimed
	}
	read, err := show(ctx, h, names, v, write)
	if err != nil || !v.follow {
		return err
	}
	var all sync.WaitGroup
	failed := make([]error, len(names))
	for i, name := range names {
		all.Go(func() {
			failed[i] = logfile.FollowLines(ctx, h.LogPath(name), read[i], func(line []byte) error { return write(name, line) })
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// showLast shows the last lines of each log, one log after the other, and how far each was read.
func showLast(_ context.Context, h home.Home, names []string, v logView, write func(string, []byte) error) ([]int64, error) {
	read := make([]int64, len(names))
	for i, name := range names {
		last, end, err := logfile.ReadTail(h.LogPath(name), v.lines)
		if err != nil {
			return nil, err
		}
		read[i] = end
		for line := range bytes.Lines(last) {
			if err := write(name, line); err != nil {
				return nil, err
			}
		}
	}
	return read, nil
}

// errEnough ends the reading of a log.
var errEnough = errors.New("enough")

// showTimed shows what was written in a span of time, in its order, and how far each log was read.
func showTimed(ctx context.Context, h home.Home, names []string, v logView, write func(string, []byte) error) ([]int64, error) {
	read, failed := make([]int64, len(names)), make([]error, len(names))
	type stream struct {
		next func() (time.Time, []byte, bool)
		at   time.Time
		line []byte
		more bool
	}
	streams := make([]*stream, len(names))
	for i, name := range names {
		var lines iter.Seq2[time.Time, []byte] = func(yield func(time.Time, []byte) bool) {
			read[i], failed[i] = logfile.ReadRange(h.LogPath(name), v.times, func(at time.Time, line []byte) error {
				if ctx.Err() != nil || !yield(at, line) {
					return errEnough
				}
				return nil
			})
		}
		if v.lines >= 0 {
			lines = lastOf(lines, v.lines)
		}
		next, stop := iter.Pull2(lines)
		defer stop()
		streams[i] = &stream{next: next}
		streams[i].at, streams[i].line, streams[i].more = next()
	}
	for {
		first := -1
		for i, s := range streams {
			if s.more && (first < 0 || s.at.Before(streams[first].at)) {
				first = i
			}
		}
		if first < 0 {
			return read, errors.Join(failed...)
		}
		s := streams[first]
		if err := write(names[first], s.line); err != nil {
			return nil, err
		}
		s.at, s.line, s.more = s.next()
	}
}

// lastOf are the last n.
func lastOf(lines iter.Seq2[time.Time, []byte], n int) iter.Seq2[time.Time, []byte] {
	return func(yield func(time.Time, []byte) bool) {
		last, times := logfile.NewLastLines(n), []time.Time{}
		for at, line := range lines {
			_ = last.Add(line) // it only remembers
			if times = append(times, at); len(times) >= 2*n+1000 {
				times = append(times[:0], times[len(times)-n:]...)
			}
		}
		all := last.All()
		times = times[len(times)-len(all):]
		for i, line := range all {
			if !yield(times[i], line) {
				return
			}
		}
	}
}
