package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"pgo/deploy/stack/internal/checkout"
	"pgo/deploy/stack/internal/gateway"
	"pgo/deploy/stack/internal/install"
	"pgo/deploy/stack/internal/monitoring"
	"pgo/pkg/testing/localserver"
)

func runInstall(ctx context.Context, args []string, sys surroundings) error {
	i, err := installer(sys)
	if err != nil {
		return err
	}
	for _, arg := range args {
		switch arg {
		case "--yes":
			i.Terminal = false
		case "--tests":
			i.Tests = true
		default:
			return usageError{fmt.Sprintf("install does not take %q", arg)}
		}
	}
	return i.Run(ctx)
}

func installer(sys surroundings) (install.Installer, error) {
	self, err := os.Executable()
	if err != nil {
		return install.Installer{}, fmt.Errorf("find this program's file: %w", err)
	}
	return install.Installer{
		Programs: localserver.HostPrograms(), Self: self, Euid: os.Geteuid(),
		In: sys.stdin, Out: sys.stdout, Err: sys.stderr, Terminal: sys.terminal,
	}, nil
}

// secrets makes those that are missing and returns their names.
func secrets(co checkout.Checkout, sys surroundings) ([]string, error) {
	made, err := co.MakeSecrets()
	if err != nil {
		return nil, err
	}
	if len(made) > 0 {
		fmt.Fprintf(sys.stderr, "made in %s: %s\n", co.Path("secrets"), strings.Join(made, ", "))
	}
	return made, nil
}

func prepare(co checkout.Checkout, sys surroundings) error {
	if err := co.MakeHome(); err != nil {
		return err
	}
	env, err := co.ChooseAddresses(sys.getenv("PORT_OFFSET"), sys.getenv("PGO_ENV"), func(env map[string]string) {
		env["PGO_TRACING_ENDPOINT"] = monitoring.Tracing(sys.getenv("PGO_TRACING_ENDPOINT"), co, env, localserver.HostPrograms())
	})
	if err != nil {
		return err
	}
	return gateway.Render(co, env)
}
