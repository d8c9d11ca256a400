package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"pgo/deploy/stack/internal/certs"
	"pgo/deploy/stack/internal/checkout"
	"pgo/deploy/stack/internal/compose"
	"pgo/deploy/stack/internal/gateway"
)

// The modes in which the stack runs.
const (
	nativeMode = "native"
	dockerMode = "docker"
)

// chooseMode returns MODE if it is set, else the mode of the running stack, else docker if an engine answers and native if
// none does.
func chooseMode(ctx context.Context, co checkout.Checkout, sys environment) (string, error) {
	switch mode := sys.getenv("MODE"); mode {
	case nativeMode:
		return mode, nil
	case dockerMode:
		return mode, compose.CheckEngine(ctx)
	case "":
	default:
		return "", usageError{fmt.Sprintf("MODE=%q: native or docker", mode)}
	}
	if len(co.FindProcesses()) > 0 {
		return nativeMode, nil
	}
	if err := compose.CheckEngine(ctx); err != nil {
		return nativeMode, nil //nolint:nilerr // without an engine the mode is native
	}
	fmt.Fprintln(sys.stderr, "a Docker engine answers: using containers (MODE=native runs without)")
	return dockerMode, nil
}

// claimMode returns an error if the stack runs in the other mode, and records the mode.
func claimMode(ctx context.Context, mode string, co checkout.Checkout, sys environment) error {
	if mode == dockerMode && len(co.FindProcesses()) > 0 {
		return fmt.Errorf("%w (it runs with MODE=native)", checkout.ErrRunning)
	}
	if mode == nativeMode && readMode(co) == dockerMode && newContainerStack(co, sys).IsRunning(ctx) {
		return fmt.Errorf("%w (it runs with MODE=docker)", checkout.ErrRunning)
	}
	if err := os.WriteFile(co.Path("mode"), []byte(mode+"\n"), 0o600); err != nil {
		return fmt.Errorf("record the mode: %w", err)
	}
	return nil
}

// readMode returns the mode of the last up.
func readMode(co checkout.Checkout) string {
	text, err := os.ReadFile(co.Path("mode"))
	if err != nil {
		return nativeMode
	}
	return strings.TrimSpace(string(text))
}

func newContainerStack(co checkout.Checkout, sys environment) compose.Stack {
	return compose.Stack{Checkout: co, Getenv: sys.getenv, Out: sys.stdout, Err: sys.stderr}
}

// startContainers runs the stack as containers and returns when every part is ready.
func startContainers(ctx context.Context, co checkout.Checkout, sys environment) error {
	created, err := createSecrets(co, sys)
	if err != nil {
		return err
	}
	if err := ensureDefaultCerts(co, sys); err != nil {
		return err
	}
	stack := newContainerStack(co, sys)
	if err := stack.Up(ctx); err != nil {
		return err
	}
	if stack.Environment() == "dev" {
		if err := createAdminInContainer(ctx, stack, slices.Contains(created, checkout.AdminPassword)); err != nil {
			return err
		}
	}
	return printContainerStatus(ctx, co, sys)
}

// createAdminInContainer does in the runtime container what createFirstAdmin does in native mode.
func createAdminInContainer(ctx context.Context, stack compose.Stack, newPassword bool) error {
	const file = "/run/secrets/" + checkout.AdminPassword
	if err := stack.Exec(ctx, "pgo", "exec", "user", "admin", "create", "--if-missing", "--email", adminEmail, "--name", "Admin", "--password-file", file); err != nil {
		return fmt.Errorf("create the first admin: %w", err)
	}
	if !newPassword {
		return nil
	}
	if err := stack.Exec(ctx, "pgo", "exec", "user", "admin", "password", "--email", adminEmail, "--password-file", file); err != nil {
		return fmt.Errorf("set the first admin's password: %w", err)
	}
	return nil
}

func printContainerStatus(ctx context.Context, co checkout.Checkout, sys environment) error {
	stack := newContainerStack(co, sys)
	if err := compose.CheckEngine(ctx); err != nil {
		return err
	}
	table, err := stack.ListRows(ctx, func(path string) string { return relativePath(co, path) })
	if err != nil {
		return err
	}
	if stack.Environment() == "dev" {
		table = append(table, compose.Row{Part: "sign in", Address: describeSignIn(co)})
	}
	return printTable(table, sys)
}

func runCompose(ctx context.Context, args []string, co checkout.Checkout, sys environment) error {
	code, err := newContainerStack(co, sys).RunCommand(ctx, sys.stdin, args)
	if err == nil && code != exitOK {
		return exitError{code}
	}
	return err
}

// ensureDefaultCerts creates a development certificate if there is none. It does so in the environment dev, and with certbot,
// so that the gateway serves HTTPS before the first certificate is issued. Other environments need a certificate of their own.
func ensureDefaultCerts(co checkout.Checkout, sys environment) error {
	environment, profiles := sys.getenv("PGO_ENV"), strings.Split(sys.getenv("COMPOSE_PROFILES"), ",")
	if environment != "" && environment != "dev" && !slices.Contains(profiles, compose.CertbotProfile) {
		return nil
	}
	if _, err := os.Stat(co.Path("certs", certs.Certificate)); err == nil {
		return nil
	}
	_, err := certs.Ensure(co.Path("certs"), certs.DefaultHosts(), time.Now())
	return err
}

// createCerts creates a development certificate for hosts and the default hosts, and has a running gateway use it.
func createCerts(ctx context.Context, hosts []string, co checkout.Checkout, sys environment) error {
	if err := co.MakeHome(); err != nil {
		return err
	}
	created, err := certs.Ensure(co.Path("certs"), append(certs.DefaultHosts(), hosts...), time.Now())
	if err != nil {
		return err
	}
	if created {
		fmt.Fprintln(sys.stdout, "created", relativePath(co, co.Path("certs", certs.Certificate)))
	}
	fmt.Fprintf(sys.stdout, "trust %s in your browser, or: curl --cacert %[1]s\n", relativePath(co, co.Path("certs", certs.Authority)))
	return reloadGateway(ctx, co, sys)
}

// installCerts installs the certificate in certbot's directory from, and has a running gateway use it.
func installCerts(ctx context.Context, from string, co checkout.Checkout, sys environment) error {
	if err := co.MakeHome(); err != nil {
		return err
	}
	if err := certs.Install(co.Path("certs"), from, time.Now()); err != nil {
		return err
	}
	return reloadGateway(ctx, co, sys)
}

// reloadGateway has a running gateway read its certificate. It drops no connection.
func reloadGateway(ctx context.Context, co checkout.Checkout, sys environment) error {
	if readMode(co) == dockerMode {
		return newContainerStack(co, sys).RefreshGateway(ctx)
	}
	if len(co.FindProcesses()) == 0 {
		return nil
	}
	env, err := co.ReadEnv()
	if err != nil {
		return err
	}
	if err := gateway.WriteNativeConfig(co, env); err != nil {
		return err
	}
	return runProgram(ctx, co, sys, co.ProgramPath("pgo"), "signal", "SIGHUP", "gateway")
}
