package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// buildPrograms builds everything for all architectures. What is there already and would come out the same is left as it is.
func (d dist) buildPrograms(ctx context.Context, stdout io.Writer) error {
	if err := d.requireFullHistory(ctx); err != nil {
		return err
	}
	toolchain, err := d.readToolchain()
	if err != nil {
		return err
	}
	d.Env = append(d.Env, "GOTOOLCHAIN="+toolchain)
	made := newBuildLog()
	var all sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	for _, p := range d.Programs {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			made.addError(d.buildProgram(ctx, p, made))
		})
	}
	all.Wait()
	if err := made.joinErrors(); err != nil {
		return err
	}
	if err := d.removeStale(made); err != nil {
		return err
	}
	for _, p := range d.Programs {
		fmt.Fprintf(stdout, "%-12s %s\n", p.Name, made.messages[p.Name])
	}
	return d.writeSums(made)
}

// buildProgram builds one program for all architectures.
func (d dist) buildProgram(ctx context.Context, p program, made *buildLog) error {
	s, err := d.readStamp(ctx, p)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	changed := ""
	for _, arch := range d.Archs {
		binary := d.outputPath("linux-"+arch, p.Name)
		same, err := buildUnlessSame(binary, func() error { return d.linkBinary(ctx, p, arch, s, binary) })
		if err != nil {
			return fmt.Errorf("%s for %s: %w", p.Name, arch, err)
		}
		if !same {
			changed = "  built"
		}
		bill := binary + ".cdx.json"
		if err := writeBill(bill, p, s, binary); err != nil {
			return fmt.Errorf("%s for %s: the list of what is in it: %w", p.Name, arch, err)
		}
		made.addFiles(binary, bill)
	}
	made.addMessage(p.Name, s.Version+changed)
	return nil
}

// buildUnlessSame tells whether make left the file's bytes as they were. Then its time is as it was too (Go sets it even where it does
// not write), so that what copies by time and size sees what is new.
func buildUnlessSame(path string, make func() error) (bool, error) {
	before, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, make()
	}
	if err != nil {
		return false, err
	}
	was, err := sha256File(path)
	if err != nil {
		return false, err
	}
	if err := make(); err != nil {
		return false, err
	}
	is, err := sha256File(path)
	if err != nil || is != was {
		return false, err
	}
	return true, os.Chtimes(path, before.ModTime(), before.ModTime())
}

func (d dist) linkBinary(ctx context.Context, p program, arch string, s stamp, binary string) error {
	flags := []string{"-s", "-w"}
	for _, pkg := range []string{"main", "pgo/pkg/buildinfo"} {
		for _, f := range [][2]string{{"version", s.Version}, {"commit", s.Commit}, {"built", s.Time.Format(time.RFC3339)}} {
			flags = append(flags, fmt.Sprintf("-X '%s.%s=%s'", pkg, f[0], f[1]))
		}
	}
	_, err := runCommand(d.goCommand(ctx, arch, p, "build", "-trimpath", "-ldflags", strings.Join(flags, " "), "-o", binary, "."))
	return err
}

// goCommand runs go in the program's directory, without the caller's settings that would change the result.
func (d dist) goCommand(ctx context.Context, arch string, p program, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(d.Root, p.Dir)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0", "CGO_ENABLED=0", "GOEXPERIMENT=", "GOFIPS140=off",
		"GOWORK=off",              // each program has the versions of its own go.mod
		"GOFLAGS=-buildvcs=false", // else each commit shows in each program
	)
	cmd.Env = append(cmd.Env, d.Env...)
	return cmd
}

// readToolchain returns the one that go.work names: every machine builds with the same.
func (d dist) readToolchain() (string, error) {
	f, err := os.Open(filepath.Join(d.Root, "go.work"))
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "toolchain "); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", errors.Join(lines.Err(), errors.New("go.work names no toolchain"))
}

// removeStale removes what an earlier build made and this one does not.
func (d dist) removeStale(made *buildLog) error {
	found, err := filepath.Glob(d.outputPath("linux-*", "*"))
	if err != nil {
		return err
	}
	for _, path := range found {
		if !made.paths[path] {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// buildLog collects results from several goroutines.
type buildLog struct {
	mu       sync.Mutex
	paths    map[string]bool
	messages map[string]string
	errors   []error
}

func newBuildLog() *buildLog {
	return &buildLog{paths: map[string]bool{}, messages: map[string]string{}}
}

func (l *buildLog) addError(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors = append(l.errors, err)
}

func (l *buildLog) addFiles(paths ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, path := range paths {
		l.paths[path] = true
	}
}

func (l *buildLog) addMessage(name, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages[name] = text
}

func (l *buildLog) joinErrors() error { return errors.Join(l.errors...) }
