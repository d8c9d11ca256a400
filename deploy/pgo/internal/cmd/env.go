package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/terminal"
)

// env is the environment that all commands share.
type env struct {
	build          Build
	getenv         func(string) string
	stdout, stderr io.Writer
	file, homeDir  string   // --file and --home
	lock           *os.File // the keeper's, on its home, until this process ends
}

// findHome returns pgo's state directory: --home, else PGO_HOME, else .pgo beside the process file's configs/, else the user's own
// if there is one.
func (e *env) findHome() (home.Home, error) {
	dir := e.homeDir
	if dir == "" {
		dir = e.getenv("PGO_HOME")
	}
	if filepath.IsAbs(dir) {
		return home.Home(filepath.Clean(dir)), nil
	}
	file, err := findProcessFile(e.file)
	if err != nil {
		// Without a process file pgo start PROGRAM uses the user's own home, and so does every command afterwards.
		own := filepath.Join(e.getenv("HOME"), ".pgo")
		if _, noHome := os.Stat(filepath.Join(own, "state")); dir == "" && filepath.IsAbs(own) && noHome == nil {
			return home.Home(own), nil
		}
		return "", err
	}
	root, err := filepath.Abs(processfile.RootDir(file))
	if err != nil {
		return "", fmt.Errorf("find pgo's home: %w", err)
	}
	if dir == "" {
		dir = ".pgo"
	}
	return home.Home(filepath.Join(root, dir)), nil
}

// loadProcessFile finds the home and reads the process file. ${PGO_HOME} is set in it whether or not the environment has it.
func (e *env) loadProcessFile() (home.Home, processfile.File, error) {
	h, err := e.findHome()
	if err != nil {
		return "", processfile.File{}, err
	}
	path, err := findProcessFile(e.file)
	if err != nil {
		return "", processfile.File{}, err
	}
	file, err := processfile.Load(path, e.lookupWithHome(h))
	return h, file, err
}

// hasMake reports whether the process file is that of a checkout of pgo's own repository, whose make starts pgo as well.
func (e *env) hasMake() bool {
	path, err := findProcessFile(e.file)
	if err != nil {
		return false
	}
	for _, file := range []string{"Makefile", filepath.Join("deploy", "stack")} {
		if _, err := os.Stat(filepath.Join(processfile.RootDir(path), file)); err != nil {
			return false
		}
	}
	return true
}

// lookupWithHome returns a lookup of environment variables in which PGO_HOME is h. An empty variable counts as not set.
func (e *env) lookupWithHome(h home.Home) func(string) (string, bool) {
	return func(key string) (string, bool) {
		if key == "PGO_HOME" {
			return string(h), true
		}
		value := e.getenv(key)
		return value, value != ""
	}
}

// connect finds the home and its manager. It returns control.ErrNotRunning, with the home, where no manager runs.
func (e *env) connect(ctx context.Context) (home.Home, *control.Client, error) {
	h, err := e.findHome()
	if err != nil {
		return "", nil, err
	}
	c, err := control.Connect(ctx, h)
	if errors.Is(err, control.ErrNotRunning) {
		err = fmt.Errorf("%w for %s: start it with pgo up", err, h)
	}
	if err == nil && isOtherRelease(e.build.Version, c.Version()) {
		fmt.Fprintf(e.stderr, "pgo: this program is version %s, the running manager is version %s: pgo upgrade replaces the manager\n", e.build.Version, c.Version())
	}
	return h, c, err
}

// isOtherRelease reports whether two versions are of different releases. The version of a build from uncommitted files changes all
// the time and says nothing.
func isOtherRelease(a, b string) bool {
	isDevelopment := func(version string) bool { return version == "dev" || strings.HasSuffix(version, "-dirty") }
	return a != b && !isDevelopment(a) && !isDevelopment(b)
}

// printJSON prints v, indented.
func (e *env) printJSON(v any) error {
	return e.encodeJSON(v, "  ")
}

func (e *env) encodeJSON(v any, indent string) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	_, err := e.stdout.Write(terminal.EscapeJSON(text.Bytes()))
	return err
}

// screen describes stdout.
func (e *env) screen() terminal.Screen { return terminal.DetectScreen(e.stdout, e.getenv) }

// reportError prints the error of a command and returns the exit code.
func (e *env) reportError(ctx context.Context, err error) int {
	if exit, ok := errors.AsType[programExit](err); ok {
		return exit.code
	}
	if err != nil {
		fmt.Fprintln(e.stderr, "pgo:", terminal.EscapeText(err.Error()))
	}
	return exitCode(ctx, err)
}

// findProcessFile returns the path of the process file: flag where it is set, else configs/pgo.yaml in the working directory
// or the closest directory above it that has one.
func findProcessFile(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the process file: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, "configs", "pgo.yaml")
		if _, err := os.Stat(path); err == nil {
			if rel, err := filepath.Rel(start, path); err == nil {
				path = rel // shorter in errors
			}
			return path, nil
		}
		if dir == filepath.Dir(dir) {
			return "", usageErrorf("no configs/pgo.yaml here or in a directory above: name one with --file")
		}
	}
}
