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

// check builds the last commit in two clones and compares all that came out. Everything is linked twice. What is compiled for
// one is taken from Go's cache by the other, unless all is to be fresh.
func (d dist) check(ctx context.Context, fresh bool, stdout io.Writer) error {
	temp, err := os.MkdirTemp("", "dist")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	changed, err := d.git(ctx, "status", "--porcelain")
	if err != nil {
		return err
	}
	if changed != "" {
		fmt.Fprintln(stdout, "what is not committed is not checked")
	}
	sums := map[string]string{}
	for _, folder := range []string{"a", "another/and/deeper"} {
		c := d
		c.Root, c.Out = filepath.Join(temp, folder), "dist"
		if _, err := d.git(ctx, "clone", "--quiet", "--shared", ".", c.Root); err != nil {
			return err
		}
		// What may differ from machine to machine.
		c.Env = []string{"TZ=Pacific/Kiritimati", "LC_ALL=C", "USER=" + filepath.Base(folder)}
		if fresh {
			c.Env = append(c.Env, "GOCACHE="+filepath.Join(temp, "cache-"+filepath.Base(folder)))
		}
		if err := c.build(ctx, io.Discard); err != nil {
			return fmt.Errorf("build in %s: %w", folder, err)
		}
		text, err := os.ReadFile(c.out("SHA256SUMS"))
		if err != nil {
			return err
		}
		sums[string(text)] = folder
	}
	if len(sums) == 1 {
		for text := range sums {
			fmt.Fprintf(stdout, "%d files are the same in two builds\n", strings.Count(text, "\n"))
		}
		return nil
	}
	return fmt.Errorf("two builds of a commit differ in %s", strings.Join(difference(sums), ", "))
}

// difference names the files whose sums are not in both.
func difference(sums map[string]string) []string {
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
