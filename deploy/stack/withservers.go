package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"pgo/deploy/stack/internal/checkout"
	"pgo/deploy/stack/internal/compose"
	"pgo/pkg/testing/localserver"
)

// runWithServers runs a command while private servers run; MySQL runs from image unless that is "". It returns the command's
// exit code as an exitError and passes signals on to the command.
func runWithServers(ctx context.Context, image string, args []string, sys environment) (err error) {
	if len(args) == 0 {
		return usageError{"with-servers needs a command: stack with-servers -- go test ./..."}
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)

	scratch, err := localserver.NewScratch(localserver.HostPrograms())
	if err != nil {
		return err
	}
	defer func() {
		// The command's exit code takes precedence.
		if closeErr := scratch.Close(); err == nil {
			err = closeErr
		}
	}()
	fmt.Fprintln(sys.stderr, "starting private servers")
	mysql := ""
	if image != "" {
		container, err := startMySQLContainer(ctx, image, sys)
		if err != nil {
			return err
		}
		defer func() {
			if closeErr := container.Close(); err == nil {
				err = closeErr
			}
		}()
		mysql = container.TestURL()
	}
	env, err := scratch.Environ(ctx, mysql)
	if err != nil {
		if s, ok := pendingSignal(signals); ok {
			return exitError{128 + int(s)}
		}
		return err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = sys.stdin, sys.stdout, sys.stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the command: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s)
		case err := <-done:
			if err == nil {
				return nil
			}
			return exitError{shellExitCode(err)}
		}
	}
}

func startMySQLContainer(ctx context.Context, image string, sys environment) (*compose.MySQLContainer, error) {
	co, err := checkout.Find(sys.dir, sys.getenv)
	if err != nil {
		return nil, err
	}
	return compose.StartMySQL(ctx, co.Root, image)
}

func pendingSignal(signals <-chan os.Signal) (syscall.Signal, bool) {
	select {
	case s := <-signals:
		sig, ok := s.(syscall.Signal)
		return sig, ok
	default:
		return 0, false
	}
}

// shellExitCode returns the exit code as a shell does: 128 plus the signal's number for a command that a signal ended.
func shellExitCode(err error) int {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return exitFailed
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}
