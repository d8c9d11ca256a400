package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
)

// exec runs a process's program by hand: with the environment and in the folder that the process has, and with other
// arguments. `pgo exec user admin create --email ...` has the secrets that a plain shell lacks.
func (a *app) exec() *cobra.Command {
	c := &cobra.Command{
		Use:   "exec NAME [ARG...]",
		Short: "run a process's program by hand, with its environment and other arguments",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("name a process")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			h, file, err := a.load()
			if err != nil {
				return err
			}
			for _, p := range file.Processes {
				if p.Name == args[0] {
					return a.byHand(c.Context(), file, p, string(h), args[1:])
				}
			}
			return usageError{fmt.Errorf("%s: no such process", args[0])}
		},
	}
	c.Flags().SetInterspersed(false) // what follows NAME is the program's
	return c
}

func (a *app) byHand(ctx context.Context, file processfile.File, p processfile.Process, state string, args []string) error {
	root, err := filepath.Abs(processfile.RootDir(file.Path))
	if err != nil {
		return fmt.Errorf("find the root: %w", err)
	}
	program := p.Command
	if p.Watch.Enabled {
		// What runs, not what is perhaps just being deployed.
		if live, err := (&release.Store{Dir: home.Home(state).ReleaseDir()}).Current(p.Name); err == nil && !live.Missing {
			program = live.Path
		}
	}
	if strings.Contains(program, "/") && !filepath.IsAbs(program) {
		program = filepath.Join(root, program)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	if cmd.Dir = root; p.Dir != "" {
		cmd.Dir = p.Dir
	}
	cmd.Env = append(os.Environ(), "PGO_HOME="+state)
	for key, value := range p.Env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, a.stdout, a.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return passedOn{exit.ExitCode()}
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", program, err)
	}
	return nil
}

// passedOn is the exit code of a program that has said itself what is wrong.
type passedOn struct{ code int }

func (e passedOn) Error() string { return fmt.Sprintf("exit code %d", e.code) }
