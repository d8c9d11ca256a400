package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"pgo/deploy/stack/internal/checkout"
)

const (
	pollInterval = 500 * time.Millisecond
	// An editor writes several files in one go; what is being written is not built.
	quietPeriod = 300 * time.Millisecond
)

// runDev brings the stack up, and builds and switches again whenever a source file was saved, until it is interrupted. What
// does not build changes nothing that runs.
func runDev(ctx context.Context, co checkout.Checkout, sys environment) error {
	if err := runUp(ctx, co, sys); err != nil {
		return err
	}
	fmt.Fprintln(sys.stderr, "watching the source: save a file and it is built and switched; Ctrl-C ends the watching, make down the stack")
	seen, err := digestSources(co.Root)
	if err != nil {
		return err
	}
	for {
		if seen, err = awaitSave(ctx, co.Root, seen); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		began := time.Now()
		if err := runProgram(ctx, co, sys, "make", "--no-print-directory", "build"); err != nil {
			fmt.Fprintln(sys.stderr, "not built, what runs stays:", err)
			continue
		}
		if err := switchPrograms(ctx, co, sys); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			fmt.Fprintln(sys.stderr, "not switched:", err)
			continue
		}
		fmt.Fprintf(sys.stderr, "built and switched in %s\n", time.Since(began).Round(100*time.Millisecond))
	}
}

// switchPrograms has pgo look at its programs again, wherever it runs.
func switchPrograms(ctx context.Context, co checkout.Checkout, sys environment) error {
	if readMode(co) == dockerMode {
		return newContainerStack(co, sys).Exec(ctx, "pgo", "up")
	}
	return runProgram(ctx, co, sys, co.ProgramPath("pgo"), "up")
}

// awaitSave waits until the sources are others than seen and have been quiet for a moment.
func awaitSave(ctx context.Context, root string, seen uint64) (uint64, error) {
	wait := pollInterval
	last := seen
	for {
		select {
		case <-ctx.Done():
			return seen, ctx.Err()
		case <-time.After(wait):
		}
		now, err := digestSources(root)
		if err != nil {
			return seen, err
		}
		if now != seen && now == last {
			return now, nil
		}
		if last, wait = now, pollInterval; now != seen {
			wait = quietPeriod
		}
	}
}

// digestSources is one number for names, sizes and times of all that a build reads.
func digestSources(root string) (uint64, error) {
	sum := fnv.New64a()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // an editor's temporary file
		}
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "bin" || name == "dist" || name == "docs") {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "_test.go") || !isSource(name) {
			return nil
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(sum, path, info.Size(), info.ModTime().UnixNano())
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("look at the sources: %w", err)
	}
	return sum.Sum64(), nil
}

func isSource(name string) bool {
	switch filepath.Ext(name) {
	case ".go", ".mod", ".sum", ".sql", ".json", ".html", ".js", ".css", ".txt":
		return true
	}
	return false
}
