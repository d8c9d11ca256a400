package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"pgo/bootcheck/gate"
	"pgo/pkg/buildinfo"
	"pgo/pkg/logging"
	"pgo/pkg/migrate"
)

// app holds the configured gate that commands work with.
type app struct {
	cfg    Config
	build  buildinfo.Info
	log    *logging.Logger
	gate   *gate.Gate
	stdout io.Writer
}

// withApp loads the configuration, calls do with the app made of it, and closes the gate.
func withApp(cmd *cobra.Command, environ []string, do func(context.Context, *app) error) error {
	cfg, err := loadConfig(environ)
	if err != nil {
		return err
	}
	a, err := newApp(cfg, cmd.OutOrStdout())
	if err != nil {
		return err
	}
	defer a.gate.Close()
	return do(cmd.Context(), a)
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
	services, err := cfg.gateServices()
	if err != nil {
		return nil, fmt.Errorf("find the services' binaries: %w", err)
	}
	g, err := gate.New(gate.Options{Servers: cfg.serverAccess(), Services: services, Monitor: cfg.monitorPasswords(), Deadline: cfg.Deadline, ProbeSuccesses: cfg.Probes, Log: log.Logger})
	if err != nil {
		return nil, &gate.Failure{Code: gate.ExitConfig, Err: err}
	}
	return &app{cfg: cfg, build: build, log: log, gate: g, stdout: stdout}, nil
}

func runOnce(ctx context.Context, a *app) error {
	if err := a.gate.Pass(ctx); err != nil {
		a.log.Error("services may not start: " + err.Error())
		return err
	}
	return nil
}

// reportValid reads the migrations of the binaries that are in place. withApp has failed on an invalid configuration.
func reportValid(ctx context.Context, a *app) error {
	skipped, err := a.gate.CheckMigrations(ctx)
	if err != nil {
		return err
	}
	for _, reason := range skipped {
		if _, err := fmt.Fprintln(a.stdout, "migrations are not checked: "+reason); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(a.stdout, "the configuration is valid")
	return err
}

// printPlan prints the pending migrations of each service as JSON.
func printPlan(ctx context.Context, a *app) error {
	plan, err := a.gate.Plan(ctx)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(plan)
}

func resolveStatement(ctx context.Context, a *app, service string, resolution migrate.Resolution) error {
	if err := a.gate.Resolve(ctx, service, resolution); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.stdout, "recorded: start bootcheck again, it continues from there")
	return err
}
