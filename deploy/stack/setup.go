package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"

	"pgo/deploy/stack/internal/checkout"
	"pgo/deploy/stack/internal/gateway"
	"pgo/deploy/stack/internal/install"
	"pgo/deploy/stack/internal/monitoring"
	"pgo/pkg/testing/localserver"
)

func runInstall(ctx context.Context, sys environment, assumeYes, withTests bool) error {
	i, err := newInstaller(sys)
	if err != nil {
		return err
	}
	i.Terminal = i.Terminal && !assumeYes
	i.Tests = withTests
	return i.Run(ctx)
}

func newInstaller(sys environment) (install.Installer, error) {
	self, err := os.Executable()
	if err != nil {
		return install.Installer{}, fmt.Errorf("find this program's file: %w", err)
	}
	return install.Installer{
		Programs: localserver.HostPrograms(), Self: self, Euid: os.Geteuid(),
		In: sys.stdin, Out: sys.stdout, Err: sys.stderr, Terminal: sys.terminal,
	}, nil
}

// createSecrets creates the missing secrets and returns their names.
func createSecrets(co checkout.Checkout, sys environment) ([]string, error) {
	created, err := co.MakeSecrets()
	if err != nil {
		return nil, err
	}
	if len(created) > 0 {
		fmt.Fprintf(sys.stderr, "created in %s: %s\n", co.Path("secrets"), strings.Join(created, ", "))
	}
	return created, nil
}

func prepareConfig(co checkout.Checkout, sys environment) error {
	if err := co.MakeHome(); err != nil {
		return err
	}
	env, err := co.ChooseAddresses(sys.getenv("PORT_OFFSET"), sys.getenv("PGO_ENV"), func(env map[string]string) {
		maps.Copy(env, monitoring.Installed(co, localserver.HostPrograms()))
		env["PGO_TRACING_ENDPOINT"] = monitoring.TracingEndpoint(sys.getenv("PGO_TRACING_ENDPOINT"), co, env, localserver.HostPrograms())
		for _, key := range checkout.MailVariables() {
			if value := sys.getenv(key); value != "" {
				env[key] = value
			}
		}
		co.SetSMTPPasswordFile(env, func(name string) string { return co.Path("secrets", name) })
	})
	if err != nil {
		return err
	}
	return gateway.WriteNativeConfig(co, env)
}
