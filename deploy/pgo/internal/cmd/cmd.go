// Package cmd has the commands of pgo, each in a file named after its verb.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/shim"
)

// Exit codes, after sysexits.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 64
	ExitUnavailable = 69 // no manager runs, or another one does
	ExitConfig      = 78 // the process file is wrong
	ExitInterrupted = 130
)

// Build describes the program: version, commit, and the commit's time in RFC 3339. The linker sets them.
type Build struct{ Version, Commit, Time string }

// app is what all commands share.
type app struct {
	build          Build
	getenv         func(string) string
	stdout, stderr io.Writer
	file, homeDir  string   // flags
	lock           *os.File // the keeper's, on its home
}

// Run executes the command line args, which do not include the program's name, and returns the exit code.
func Run(ctx context.Context, build Build, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == shim.Command {
		// Before anything else: every start of a process goes through here.
		fmt.Fprintln(stderr, "pgo:", shim.Exec(args[1:]))
		return ExitFailed
	}
	a := &app{build: build, getenv: getenv, stdout: stdout, stderr: stderr}
	if half := map[string]func(context.Context, []string) error{keeperCommand: a.background, managerCommand: a.manage}; len(args) > 0 && half[args[0]] != nil {
		return a.finish(ctx, half[args[0]](ctx, args[1:]))
	}
	root := a.command()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return a.finish(ctx, root.ExecuteContext(ctx))
}

// finish says what went wrong and returns the exit code.
func (a *app) finish(ctx context.Context, err error) int {
	if err == nil {
		return ExitOK
	}
	if passed, ok := errors.AsType[passedOn](err); ok {
		return passed.code
	}
	fmt.Fprintln(a.stderr, "pgo:", err)
	return exitCode(ctx, err)
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:           "pgo",
		Short:         "runs the processes of a process file",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q: pgo help lists them", args[0])}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.PersistentFlags().StringVar(&a.file, "file", "", "process file (default configs/pgo.yaml here or in a folder above)")
	root.PersistentFlags().StringVar(&a.homeDir, "home", "", "pgo's state folder (default $PGO_HOME, else .pgo beside configs/)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(a.up(), a.down(), a.apply(), a.check(), a.schema(),
		a.list(), a.describe(), a.logs(), a.events(), a.info(), a.version(),
		a.start(), a.stop(), a.restart(), a.reload(), a.rollback(), a.releases(), a.scale(), a.delete(), a.signal(), a.flush(), a.exec(), a.upgrade(), a.export(),
		a.deploy(), a.receive(), a.host())
	for _, c := range root.Commands() {
		if strings.Contains(c.Use, "NAME") {
			c.ValidArgsFunction = a.complete
		}
	}
	return root
}

// usageError marks a wrong command line.
type usageError struct{ error }

func exitCode(ctx context.Context, err error) int {
	var usage usageError
	var wrong *processfile.Error
	switch {
	case shipCode(err) != 0 && ctx.Err() == nil:
		return shipCode(err)
	case errors.As(err, &wrong):
		return ExitConfig
	case errors.As(err, &usage):
		return ExitUsage
	case ctx.Err() != nil:
		return ExitInterrupted
	case errors.Is(err, control.ErrNotRunning), errors.Is(err, home.ErrLocked):
		return ExitUnavailable
	default:
		return ExitFailed
	}
}

// processFile is the path of the process file: as the flag says, else that of the checkout the command is given in.
func (a *app) processFile() (string, error) {
	if a.file != "" {
		return a.file, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the process file: %w", err)
	}
	start := dir
	for {
		path := filepath.Join(dir, "configs", "pgo.yaml")
		if _, err := os.Stat(path); err == nil {
			if rel, err := filepath.Rel(start, path); err == nil {
				path = rel // shorter in errors
			}
			return path, nil
		}
		if dir == filepath.Dir(dir) {
			return "", usageError{errors.New("no configs/pgo.yaml here or in a folder above: name one with --file")}
		}
		dir = filepath.Dir(dir)
	}
}

// home is pgo's state folder: as the flag or PGO_HOME says, else .pgo beside the process file's configs/.
func (a *app) home() (home.Home, error) {
	dir := a.homeDir
	if dir == "" {
		dir = a.getenv("PGO_HOME")
	}
	if filepath.IsAbs(dir) {
		return home.Home(filepath.Clean(dir)), nil
	}
	file, err := a.processFile()
	if err != nil {
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

// load finds the home and reads the process file. ${PGO_HOME} is set in it whether or not the environment has it.
func (a *app) load() (home.Home, processfile.File, error) {
	h, err := a.home()
	if err != nil {
		return "", processfile.File{}, err
	}
	path, err := a.processFile()
	if err != nil {
		return "", processfile.File{}, err
	}
	file, err := processfile.Load(path, func(key string) (string, bool) {
		if key == "PGO_HOME" {
			return string(h), true
		}
		value := a.getenv(key)
		return value, value != ""
	})
	return h, file, err
}

// connect finds the home and its manager.
func (a *app) connect(ctx context.Context) (home.Home, *control.Client, error) {
	h, err := a.home()
	if err != nil {
		return "", nil, err
	}
	c, err := control.Connect(ctx, h)
	if errors.Is(err, control.ErrNotRunning) {
		err = fmt.Errorf("%w for %s: start it with pgo up", err, h)
	}
	if err == nil && c.Version() != a.build.Version {
		fmt.Fprintf(a.stderr, "pgo: this is version %s, the one that runs is %s: pgo upgrade makes them one\n", a.build.Version, c.Version())
	}
	return h, c, err
}

// needNames is cobra's check for commands that need names of processes.
func needNames(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError{errors.New("name at least one process, or all")}
	}
	return nil
}

func noArgs(c *cobra.Command, args []string) error {
	if err := cobra.NoArgs(c, args); err != nil {
		return usageError{err}
	}
	return nil
}
