package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// checkReproducible builds the last commit in two clones and compares all that came out. Everything is linked twice. What is compiled for
// one is taken from Go's cache by the other, unless all is to be fresh.
func (d dist) checkReproducible(ctx context.Context, fresh bool, stdout io.Writer) error {
	temp, err := os.MkdirTemp("", "dist")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	changed, err := d.runGit(ctx, "status", "--porcelain")
	if err != nil {
		return err
	}
	if changed != "" {
		fmt.Fprintln(stdout, "what is not committed is not checked")
	}
	sums := map[string]string{}
	for _, dir := range []string{"a", "another/and/deeper"} {
		c := d
		c.Root, c.Out = filepath.Join(temp, dir), "dist"
		if _, err := d.runGit(ctx, "clone", "--quiet", "--shared", ".", c.Root); err != nil {
			return err
		}
		// What may differ from machine to machine.
		c.Env = []string{"TZ=Pacific/Kiritimati", "LC_ALL=C", "USER=" + filepath.Base(dir)}
		if fresh {
			c.Env = append(c.Env, "GOCACHE="+filepath.Join(temp, "cache-"+filepath.Base(dir)))
		}
		if err := c.buildPrograms(ctx, io.Discard); err != nil {
			return fmt.Errorf("build in %s: %w", dir, err)
		}
		text, err := os.ReadFile(c.outputPath("SHA256SUMS"))
		if err != nil {
			return err
		}
		sums[string(text)] = dir
	}
	if len(sums) == 1 {
		for text := range sums {
			fmt.Fprintf(stdout, "%d files are the same in two builds\n", strings.Count(text, "\n"))
		}
		return nil
	}
	return fmt.Errorf("two builds of a commit differ in %s", strings.Join(listDifferences(sums), ", "))
}

// listDifferences names the files whose sums are not in both.
func listDifferences(sums map[string]string) []string {
	lines, names := map[string]int{}, map[string]bool{}
	for text := range sums {
		for line := range strings.Lines(text) {
			lines[line]++
		}
	}
	for line, times := range lines {
		if times == 1 {
			_, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
