package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"pgo/deploy/stack/internal/checkout"
	"pgo/deploy/stack/internal/compose"
	"pgo/pkg/testing/localserver"
)

const mysqlImage = "--mysql-image="

// runWithServers runs a command with private servers around it: MySQL from an image where one is named. The command's exit
// code becomes ours, and signals that come to us reach it.
func runWithServers(ctx context.Context, args []string, sys environment) (err error) {
	image := ""
	if len(args) > 0 && strings.HasPrefix(args[0], mysqlImage) {
		image, args = strings.TrimPrefix(args[0], mysqlImage), args[1:]
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
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
		// The command's own exit code goes first.
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

// shellExitCode is the code a shell would tell: 128 and the signal's number for a command that a signal ended.
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
