package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"pgo/bootcheck/gate"
	"pgo/pkg/buildinfo"
	"pgo/pkg/config"
	"pgo/pkg/logging"
	"pgo/pkg/migrate"
)

const usage = `usage: bootcheck [serve]        wait, migrate, say that services may start, stay up (the default)
       bootcheck once           the same, and exit when it is done
       bootcheck check          is the configuration valid
       bootcheck plan           which migrations would be applied
       bootcheck resolve --service NAME --version N --statement M --done|--redo
                                settle a statement of a migration that was interrupted
       bootcheck version [--json]`

// run is the program. Its error's exit code is exitCode's.
func run(ctx context.Context, args, environ []string, stdout io.Writer) error {
	verb := "serve"
	if len(args) > 0 {
		verb, args = args[0], args[1:]
	}
	if verb == "version" {
		return version(args, stdout)
	}
	if verb == "help" || verb == "--help" || verb == "-h" {
		_, err := fmt.Fprintln(stdout, usage)
		return err
	}
	verbs := map[string]func(context.Context, *app, []string) error{
		"serve": runServer, "once": once, "check": check, "plan": plan, "resolve": resolve,
	}
	do, ok := verbs[verb]
	if !ok {
		return usageError("unknown command " + verb)
	}
	if verb != "resolve" && len(args) > 0 {
		return usageError(verb + " takes no arguments")
	}
	cfg, err := load(environ)
	if err != nil {
		return err
	}
	a, err := newApp(cfg, stdout)
	if err != nil {
		return err
	}
	defer a.gate.Close()
	return do(ctx, a, args)
}

// app is what every verb works with.
type app struct {
	cfg    Config
	build  buildinfo.Info
	log    *logging.Logger
	gate   *gate.Gate
	stdout io.Writer
}

func newApp(cfg Config, stdout io.Writer) (*app, error) {
	build := buildinfo.Read(0)
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	log, err := logging.New(stdout, cfg.Log, logging.Identity{Service: "bootcheck", Instance: host, Version: build.Version})
	if err != nil {
		return nil, &gate.Failure{Code: gate.ExitConfig, Err: err}
	}
	services, err := cfg.services()
	if err != nil {
		return nil, fmt.Errorf("find the services' binaries: %w", err)
	}
	g, err := gate.New(gate.Options{Servers: cfg.servers(), Services: services, Monitor: cfg.monitor(), Deadline: cfg.Deadline, Log: log.Logger})
	if err != nil {
		return nil, &gate.Failure{Code: gate.ExitConfig, Err: err}
	}
	return &app{cfg: cfg, build: build, log: log, gate: g, stdout: stdout}, nil
}

func once(ctx context.Context, a *app, _ []string) error {
	if err := a.gate.Pass(ctx); err != nil {
		a.log.Error("services may not start: " + err.Error())
		return err
	}
	return nil
}

func check(_ context.Context, a *app, _ []string) error {
	_, err := fmt.Fprintln(a.stdout, "the configuration is valid")
	return err
}

func plan(ctx context.Context, a *app, _ []string) error {
	p, err := a.gate.Plan(ctx)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(p)
}

func resolve(ctx context.Context, a *app, args []string) error {
	var r migrate.Resolution
	f := flag.NewFlagSet("resolve", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	service := f.String("service", "", "")
	f.Int64Var(&r.Version, "version", 0, "")
	f.IntVar(&r.Statement, "statement", 0, "")
	f.BoolVar(&r.Done, "done", false, "")
	redo := f.Bool("redo", false, "")
	if err := f.Parse(args); err != nil {
		return usageError(err.Error())
	}
	if *service == "" || r.Version < 1 || r.Statement < 1 || r.Done == *redo || f.NArg() > 0 {
		return usageError("resolve takes --service, --version, --statement and one of --done and --redo")
	}
	if err := a.gate.Resolve(ctx, *service, r); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.stdout, "noted: start bootcheck again and it goes on from there")
	return err
}

func version(args []string, stdout io.Writer) error {
	f := flag.NewFlagSet("version", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	asJSON := f.Bool("json", false, "")
	if err := f.Parse(args); err != nil || f.NArg() > 0 {
		return usageError("version takes only --json")
	}
	return buildinfo.Read(0).Write(stdout, *asJSON)
}

func usageError(text string) error {
	return &gate.Failure{Code: gate.ExitUsage, Err: errors.New(text + "\n" + usage)}
}

// exitCode follows sysexits.h: 64 usage, 65 a migration that failed, 69 something is missing, 78 configuration.
func exitCode(err error) int {
	var failure *gate.Failure
	var bad *config.Error
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return 0
	case errors.As(err, &bad):
		return gate.ExitConfig
	case errors.As(err, &failure):
		return failure.Code
	}
	return 1
}
