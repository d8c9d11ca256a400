package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"pgo/deploy/stack/internal/checkout"
	"pgo/deploy/stack/internal/gateway"
	"pgo/pkg/testing/localserver"
)

const adminEmail = "admin@pgo.local"

// runUp brings the whole stack up and returns when every part is ready. It changes nothing if the stack runs.
func runUp(ctx context.Context, co checkout.Checkout, sys environment) error {
	mode, err := chooseMode(ctx, co, sys)
	if err != nil {
		return err
	}
	if err := co.MakeHome(); err != nil {
		return err
	}
	unlock, err := co.LockHome()
	if err != nil {
		return err
	}
	defer unlock()
	if err := claimMode(ctx, mode, co, sys); err != nil {
		return err
	}
	if mode == dockerMode {
		return startContainers(ctx, co, sys)
	}
	i, err := newInstaller(sys)
	if err != nil {
		return err
	}
	if err := i.Run(ctx); err != nil {
		return err
	}
	created, err := createSecrets(co, sys)
	if err != nil {
		return err
	}
	if len(created) > 0 && len(co.FindProcesses()) > 0 {
		fmt.Fprintln(sys.stderr, "the running processes have the old secrets: stopping everything first")
		if err := runProgram(ctx, co, sys, co.ProgramPath("pgo"), "down"); err != nil {
			return err
		}
	}
	if err := ensureDefaultCerts(co, sys); err != nil {
		return err
	}
	before, err := gateway.DigestConfig(co)
	if err != nil {
		return err
	}
	if err := prepareConfig(co, sys); err != nil {
		return err
	}
	if err := runProgram(ctx, co, sys, co.ProgramPath("pgo"), "up"); err != nil {
		return err
	}
	if after, err := gateway.DigestConfig(co); err != nil {
		return err
	} else if before != after && before != "" {
		// A gateway that already runs reloads its configuration, without dropping a connection.
		if err := runProgram(ctx, co, sys, co.ProgramPath("pgo"), "signal", "SIGHUP", "gateway"); err != nil {
			return err
		}
	}
	if err := createFirstAdmin(ctx, co, sys, slices.Contains(created, checkout.AdminPassword)); err != nil {
		return err
	}
	return printStatus(ctx, co, sys)
}

// runDown stops everything that up started, and processes that a killed pgo has left behind.
func runDown(ctx context.Context, co checkout.Checkout, sys environment) error {
	if !co.OwnsHome() {
		return nil // up never ran here
	}
	unlock, err := co.LockHome()
	if err != nil {
		return err
	}
	defer unlock()
	if err := newContainerStack(co, sys).Down(ctx, false); err != nil {
		return err
	}
	running := co.FindProcesses()
	if len(running) == 0 {
		return nil
	}
	if _, statErr := os.Stat(co.ProgramPath("pgo")); statErr == nil {
		err = runProgram(ctx, co, sys, co.ProgramPath("pgo"), "down")
	}
	err = errors.Join(err, stopLeftovers(ctx, co, sys))
	checkout.AwaitExit(running)
	return err
}

func runClean(ctx context.Context, co checkout.Checkout, sys environment) error {
	if err := runDown(ctx, co, sys); err != nil {
		return err
	}
	if co.OwnsHome() {
		if err := newContainerStack(co, sys).Down(ctx, true); err != nil {
			return err
		}
	}
	return errors.Join(co.RemoveHome(), os.RemoveAll(localserver.SocketDir(co.Home)))
}

// stopLeftovers stops processes of this home that pgo no longer manages: by SIGTERM, after gracePeriod by SIGKILL.
func stopLeftovers(ctx context.Context, co checkout.Checkout, sys environment) error {
	const gracePeriod = 20 * time.Second
	deadline := time.Now().Add(gracePeriod)
	signalled := map[int]bool{}
	for {
		left := co.FindProcesses()
		if len(left) == 0 {
			return nil
		}
		if servers := slices.DeleteFunc(slices.Clone(left), func(p checkout.Process) bool { return p.IsHelper }); len(servers) > 0 {
			left = servers
		}
		for _, p := range left {
			if !signalled[p.PID] {
				signalled[p.PID] = true
				fmt.Fprintf(sys.stderr, "stopping %s (pid %d), which pgo left behind\n", p.Name, p.PID)
				_ = syscall.Kill(p.PID, syscall.SIGTERM)
			} else if time.Now().After(deadline) {
				_ = syscall.Kill(p.PID, syscall.SIGKILL)
			}
		}
		if time.Now().After(deadline.Add(5 * time.Second)) {
			return fmt.Errorf("%s (pid %d) does not exit", left[0].Name, left[0].PID)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// createFirstAdmin creates the account that a developer signs in with, in the environment dev. It leaves an existing account
// alone, but sets its password if newPassword.
func createFirstAdmin(ctx context.Context, co checkout.Checkout, sys environment, newPassword bool) error {
	env, err := co.ReadEnv()
	if err != nil {
		return err
	}
	if env["PGO_ENV"] != "dev" {
		return nil
	}
	err = runProgram(ctx, co, sys, co.ProgramPath("pgo"), "exec", "user",
		"admin", "create", "--if-missing", "--email", adminEmail, "--name", "Admin", "--password-file", co.Path("secrets", checkout.AdminPassword))
	if err != nil {
		return fmt.Errorf("create the first admin: %w", err)
	}
	if !newPassword {
		return nil
	}
	if err := runProgram(ctx, co, sys, co.ProgramPath("pgo"), "exec", "user",
		"admin", "password", "--email", adminEmail, "--password-file", co.Path("secrets", checkout.AdminPassword)); err != nil {
		return fmt.Errorf("set the first admin's password: %w", err)
	}
	return nil
}

// runProgram runs a program in the checkout with its output on stderr. It returns the program's exit code as an exitError.
// When ctx ends it sends SIGTERM.
func runProgram(ctx context.Context, co checkout.Checkout, sys environment, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = co.Root
	cmd.Env = append(os.Environ(), "PGO_HOME="+co.Home)
	cmd.Stdout, cmd.Stderr = sys.stderr, sys.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return exitError{shellExitCode(err)}
	}
	if err != nil {
		return fmt.Errorf("%w (make build builds it)", err)
	}
	return nil
}
