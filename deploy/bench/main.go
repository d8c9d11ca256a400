// Command bench measures pgo beside PM2 on this machine, in one run, and writes the table of docs/benchmarks.md.
// It is also the program that both run while they are measured.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options select the measurements of a run, and their durations.
type options struct {
	pgo     string // the binary
	source  string // of this program
	out     string // the page; empty prints the table alone
	reloads int
	kills   int
	rate    int // requests a second, all kinds together
	lists   int
	idle    time.Duration
	logging time.Duration
	upload  time.Duration
	only    string // one scenario
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var err error
	switch {
	case len(args) > 0 && args[0] == appCommand:
		err = serveApp(ctx, args[1:], stdout)
	case len(args) > 0 && args[0] == "version": // pgo asks a watched service for this, and a new one also for the next
		fmt.Fprintf(stdout, "{\"version\": %q}\n", cmp.Or(build, "bench"))
	case len(args) > 0 && args[0] == "check":
	case len(args) > 1 && args[0] == measureCommand:
		err = measureProgram(args[1:], stdout)
	default:
		err = runComparison(ctx, args, stdout, stderr)
	}
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintln(stderr, "bench:", err)
	if errors.As(err, new(usageError)) {
		return 64
	}
	return 1
}

// usageError marks a wrong command line.
type usageError struct{ error }

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.pgo, "pgo", "bin/pgo", "the pgo that is measured")
	f.StringVar(&o.source, "source", "deploy/bench", "this program's own source, of which versions are built")
	f.StringVar(&o.out, "out", "", "the `page` whose table is replaced; by default the table is only printed")
	f.IntVar(&o.reloads, "reloads", 5, "reloads of each scenario; at least 1")
	f.IntVar(&o.kills, "kills", 5, "times the manager is killed; at least 1")
	f.IntVar(&o.rate, "rate", 1000, "requests a second, all kinds together")
	f.IntVar(&o.lists, "lists", 20, "runs of list")
	f.DurationVar(&o.idle, "idle", 20*time.Second, "how long nothing happens while the processor's time is taken")
	f.DurationVar(&o.logging, "logging", 10*time.Second, "how long a program logs")
	f.DurationVar(&o.upload, "upload", 6*time.Second, "how long a slow upload takes")
	f.StringVar(&o.only, "only", "", "one scenario: reload, slow-start, six, logs, killed, size, watch")
	full := f.Bool("full", false, "as many as the targets speak of: 100 reloads, 20 kills, a minute of each quiet measurement, an upload of 17 s")
	if err := f.Parse(args); err != nil {
		return o, usageError{err}
	}
	if *full {
		o.reloads, o.kills, o.lists = 100, 20, 50
		o.idle, o.logging, o.upload = time.Minute, time.Minute, 17*time.Second
	}
	switch {
	case f.NArg() > 0:
		return o, usageError{fmt.Errorf("unknown argument %q", f.Arg(0))}
	case o.reloads < 1 || o.kills < 1 || o.lists < 1 || o.rate < len(kinds):
		return o, usageError{fmt.Errorf("-reloads, -kills and -lists are at least 1, -rate at least %d", len(kinds))}
	case o.idle < time.Second || o.logging < time.Second || o.upload < time.Second:
		return o, usageError{errors.New("-idle, -logging and -upload are at least 1s")}
	case o.only != "" && !slices.ContainsFunc(scenarios(), func(s scenario) bool { return s.name == o.only }):
		return o, usageError{fmt.Errorf("there is no scenario %q", o.only)}
	case o.only != "" && o.out != "":
		return o, usageError{errors.New("-only measures a part, which is not written to the page")}
	}
	return o, nil
}
