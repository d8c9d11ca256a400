package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"pgo/deploy/stack/internal/gateway"
	"pgo/deploy/stack/internal/home"
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
		Programs: localserver.Host(), Self: self, Euid: os.Geteuid(),
		In: sys.stdin, Out: sys.stdout, Err: sys.stderr, Terminal: sys.terminal,
	}, nil
}

// secrets makes those that are missing and returns their names.
func secrets(h home.Home, sys surroundings) ([]string, error) {
	made, err := h.MakeSecrets()
	if err != nil {
		return nil, err
	}
	if len(made) > 0 {
		fmt.Fprintf(sys.stderr, "made in %s: %s\n", h.Path("secrets"), strings.Join(made, ", "))
	}
	return made, nil
}

func prepare(h home.Home, sys surroundings) error {
	if err := h.MakeDirs(); err != nil {
		return err
	}
	env, err := h.Choose(sys.getenv("PORT_OFFSET"), sys.getenv("PGO_ENV"), func(env map[string]string) {
		env["PGO_TRACING_ENDPOINT"] = monitoring.Tracing(sys.getenv("PGO_TRACING_ENDPOINT"), h, env, localserver.Host())
	})
	if err != nil {
		return err
	}
	return gateway.Render(h, env)
}
