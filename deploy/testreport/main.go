// Command testreport runs go test, prints what go test prints, and records how long each test took. Runs of several modules
// record to one file, from which it prints the slowest tests of all.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

const usage = `testreport -times FILE -- ARGS...     runs go test ARGS and appends the tests' durations to FILE
testreport -times FILE -slowest N     prints the N slowest tests in FILE
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	var exit *exec.ExitError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		os.Exit(exit.ExitCode()) // go test has printed the reason
	default:
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("testreport", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage) }
	times := flags.String("times", "", "the file of durations")
	slowest := flags.Int("slowest", 0, "print so many of the slowest tests")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *times == "" {
		return errors.New("name the file of durations: -times FILE")
	}
	if *slowest > 0 {
		return printSlowest(stdout, *times, *slowest)
	}
	return runTests(ctx, *times, flags.Args(), stdout)
}

// runTests runs go test with args, prints its summary and the output of failed tests, and appends durations to the file times.
// It returns go test's *exec.ExitError if a test fails.
func runTests(ctx context.Context, times string, args []string, stdout io.Writer) error {
	record, err := os.OpenFile(times, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer record.Close()
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run go test: %w", err)
	}
	readErr := copyReport(events, stdout, record)
	_, _ = io.Copy(io.Discard, events) // after a read error: go test must not block
	return errors.Join(cmd.Wait(), readErr)
}
