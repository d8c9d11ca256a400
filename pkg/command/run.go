package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"pgo/pkg/config"
	"pgo/pkg/mq"
	"pgo/pkg/problem"
)

// Exit codes as in sysexits.h; config.ExitCode is a third.
const (
	exitFailed      = 1
	exitUsage       = 64
	exitUnavailable = 69
)

// usageError marks a wrong command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// MarkUsage marks err as one of a wrong command line, which ends in exit code 64.
func MarkUsage(err error) error { return &usageError{err} }

// Main ends the process with run's exit code. run gets the process's arguments, environment and streams, and a context that
// ends with the first SIGTERM or SIGINT; a second one ends the process at once.
func Main(run func(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// Run executes root and returns the exit code: 78 for a bad configuration, 64 for a wrong command line, 69 when a server that
// it needs cannot be reached, 1 for any other error. An error is one line on stderr.
func Run(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "%s: %s\n", root.Name(), strings.ReplaceAll(err.Error(), "\n", "; "))
	return exitCode(err)
}

func exitCode(err error) int {
	if _, ok := errors.AsType[*config.Error](err); ok {
		return config.ExitCode
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	if errors.Is(err, problem.Unavailable()) || errors.Is(err, mq.ErrNotConnected) {
		return exitUnavailable
	}
	return exitFailed
}
