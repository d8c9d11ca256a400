package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/processfile"
)

// startProgram runs a program that no process file has, in the working directory and with the environment of this command, and
// waits until it is ready. It starts pgo where it does not run.
func startProgram(ctx context.Context, e *env, program, name string, args []string, timeout time.Duration) error {
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	p, err := processfile.NewProcess(cmp.Or(name, processfile.MakeName(program)), program, args, dir, programEnv(os.Environ()))
	if err != nil {
		return usageError{err}
	}
	if _, err := command.FindCommand(p.Command, p.Env); err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	h, err := e.findHomeOrOwn()
	if err != nil {
		return err
	}
	client, started, err := connectOrStart(ctx, e, h)
	if err != nil {
		return err
	}
	f, err := newFollower(ctx, e, h, client)
	if err != nil {
		return err
	}
	if err := f.runCommand(ctx, "add", control.AddRequest{Process: p}); err != nil {
		if started && ctx.Err() == nil {
			failed := f.runCommand(ctx, "down", nil)
			return errors.Join(err, failed)
		}
		return err
	}
	if err := f.awaitReady(ctx, selectNamed, []string{p.Name}, timeout); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s is ready; pgo list, logs, restart and delete take this name\n", p.Name)
	return err
}

// programEnv returns an environment without the variables that are about this command.
func programEnv(environ []string) map[string]string {
	env := map[string]string{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case name == "PGO_HOME", name == "NOTIFY_SOCKET", name == "PWD", name == "OLDPWD", name == "SHLVL", name == "_":
		case strings.HasPrefix(name, "LISTEN_"), strings.HasPrefix(name, "WATCHDOG_"), strings.HasPrefix(name, "MAKE"), name == "MFLAGS":
		default:
			env[name] = value
		}
	}
	return env
}

// findHomeOrOwn returns the home of the process file, else the user's own.
func (e *env) findHomeOrOwn() (home.Home, error) {
	h, err := e.findHome()
	if _, isUsage := errors.AsType[usageError](err); !isUsage {
		return h, err
	}
	dir := e.getenv("HOME")
	if !filepath.IsAbs(dir) {
		return "", err
	}
	return home.Home(filepath.Join(dir, ".pgo")), nil
}
