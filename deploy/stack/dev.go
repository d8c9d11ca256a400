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
	// An editor writes several files at once; a build waits until they are complete.
	quietPeriod = 300 * time.Millisecond
)

// runDev brings the stack up, and builds and switches programs whenever a source file is saved, until ctx ends. A failed build
// leaves the running programs alone.
func runDev(ctx context.Context, co checkout.Checkout, sys environment) error {
	if err := runUp(ctx, co, sys); err != nil {
		return err
	}
	fmt.Fprintln(sys.stderr, "watching the source: save a file to build and switch; Ctrl-C stops watching, make down stops the stack")
	digest, err := digestSources(co.Root)
	if err != nil {
		return err
	}
	for {
		if digest, err = awaitSave(ctx, co.Root, digest); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		start := time.Now()
		if err := runProgram(ctx, co, sys, "make", "--no-print-directory", "build"); err != nil {
			fmt.Fprintln(sys.stderr, "build failed, the running programs stay:", err)
			continue
		}
		if err := switchPrograms(ctx, co, sys); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			fmt.Fprintln(sys.stderr, "switch failed:", err)
			continue
		}
		fmt.Fprintf(sys.stderr, "built and switched in %s\n", time.Since(start).Round(100*time.Millisecond))
	}
}

// switchPrograms has pgo apply the changed programs, in either mode.
func switchPrograms(ctx context.Context, co checkout.Checkout, sys environment) error {
	if readMode(co) == dockerMode {
		return newContainerStack(co, sys).Exec(ctx, "pgo", "up")
	}
	return runProgram(ctx, co, sys, co.ProgramPath("pgo"), "up")
}

// awaitSave waits until the sources differ from the digest old and have not changed for quietPeriod. It returns their digest.
func awaitSave(ctx context.Context, root string, old uint64) (uint64, error) {
	wait := pollInterval
	last := old
	for {
		select {
		case <-ctx.Done():
			return old, ctx.Err()
		case <-time.After(wait):
		}
		now, err := digestSources(root)
		if err != nil {
			return old, err
		}
		if now != old && now == last {
			return now, nil
		}
		if last, wait = now, pollInterval; now != old {
			wait = quietPeriod
		}
	}
}

// digestSources returns a hash of the names, sizes and times of all files that a build reads.
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
		return 0, fmt.Errorf("read the sources: %w", err)
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
