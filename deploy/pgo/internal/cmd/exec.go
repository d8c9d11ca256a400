package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
)

// newExecCommand returns pgo exec: `pgo exec user admin create --email ...` has the secrets that a plain shell lacks.
func newExecCommand(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "exec NAME [ARG...]",
		Short: "Run a process's program once, with its environment and other arguments",
		Long:  "Run a process's program once, with its environment and other arguments. PGO_ENV of the caller wins over the process's.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageErrorf("name a process")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			h, file, err := e.loadProcessFile()
			if err != nil {
				return err
			}
			for _, p := range file.Processes {
				if p.Name == args[0] {
					return execProgram(c.Context(), e, h, file, p, args[1:])
				}
			}
			return unknownProcess(file, args[0])
		},
	}
	c.Flags().SetInterspersed(false) // what follows NAME is the program's
	return c
}

// unknownProcess returns the error for a name that no process of the file has.
func unknownProcess(file processfile.File, name string) error {
	var names []string
	for _, p := range file.Processes {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return fmt.Errorf("there is no process %q; there are %s", name, strings.Join(names, ", "))
}

// execProgram runs the program of a process with args, in its directory and with its environment. It returns a programExit
// where the program ends with another exit code than 0.
func execProgram(ctx context.Context, e *env, h home.Home, file processfile.File, p processfile.Process, args []string) error {
	root, err := filepath.Abs(processfile.RootDir(file.Path))
	if err != nil {
		return fmt.Errorf("find the root: %w", err)
	}
	program := p.Command
	if p.Watch.Enabled {
		// The current release, not a file that may be in the middle of its deploy.
		if current, err := (&release.Store{Dir: h.ReleaseDir()}).Current(p.Name); err == nil && !current.Missing {
			program = current.Path
		}
	}
	if strings.Contains(program, "/") && !filepath.IsAbs(program) {
		program = filepath.Join(root, program)
	}
	run := command.Run{Process: p, Program: program, Args: args, Dir: root, Env: append(os.Environ(), "PGO_HOME="+string(h))}
	if p.Dir != "" {
		run.Dir = p.Dir
	}
	for key, value := range p.Env {
		run.Env = append(run.Env, key+"="+value)
	}
	if environment := os.Getenv("PGO_ENV"); environment != "" {
		run.Env = append(run.Env, "PGO_ENV="+environment) // `PGO_ENV=prod pgo exec user check` is about prod
	}
	if !strings.Contains(program, "/") {
		if run.Program, err = command.FindCommand(program, map[string]string{"PATH": searchPath(p)}); err != nil {
			return err
		}
	}
	cmd, err := command.Build(ctx, run)
	if err != nil {
		return fmt.Errorf("run %s: %w", program, err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, e.stdout, e.stderr
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return programExit{exit.ExitCode()}
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", program, err)
	}
	return nil
}

// searchPath returns the PATH of a process.
func searchPath(p processfile.Process) string {
	if path, ok := p.Env["PATH"]; ok {
		return path
	}
	return os.Getenv("PATH")
}
