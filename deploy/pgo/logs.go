package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/home"
	"pgo/deploy/pgo/logfile"
)

func (a *app) logs() *cobra.Command {
	var follow bool
	var lines int
	c := &cobra.Command{
		Use:   "logs NAME...",
		Short: "show what processes wrote; pgo is the manager itself",
		Args:  needNames,
		RunE: func(c *cobra.Command, names []string) error {
			if lines < 0 {
				return usageError{fmt.Errorf("-n %d: expected a number of lines", lines)}
			}
			h, err := a.home()
			if err != nil {
				return err
			}
			if names, err = logNames(h, names); err != nil {
				return err
			}
			return a.showLogs(c.Context(), h, names, lines, follow)
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written from now on")
	c.Flags().IntVarP(&lines, "lines", "n", 50, "how many of the last lines")
	return c
}

// logNames checks names against the logs there are; a log is there once its process was started.
func logNames(h home.Home, names []string) ([]string, error) {
	entries, err := os.ReadDir(h.Logs())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("look for logs: %w", err)
	}
	var known []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".log"); ok {
			known = append(known, name)
		}
	}
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

func (a *app) showLogs(ctx context.Context, h home.Home, names []string, n int, follow bool) error {
	var mu sync.Mutex // lines stay whole
	var all sync.WaitGroup
	failed := make([]error, len(names))
	for i, name := range names {
		prefix := ""
		if len(names) > 1 {
			prefix = fmt.Sprintf("%-12s | ", name)
		}
		write := func(line []byte) error {
			mu.Lock()
			defer mu.Unlock()
			_, err := fmt.Fprintf(a.stdout, "%s%s\n", prefix, bytes.TrimSuffix(line, []byte("\n")))
			return err
		}
		last, offset, err := logfile.Last(h.Log(name), n, 0)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(last) {
			if err := write(line); err != nil {
				return err
			}
		}
		if follow {
			all.Go(func() { failed[i] = logfile.Follow(ctx, h.Log(name), offset, write) })
		}
	}
	all.Wait()
	return errors.Join(failed...)
}
