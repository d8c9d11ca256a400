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

// The ways to run the stack.
const (
	nativeMode = "native"
	dockerMode = "docker"
)

// chooseMode says which way up takes: as MODE says, else as what runs already does, else containers where an engine
// answers.
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
		return nativeMode, nil //nolint:nilerr // that no engine answers is the reason
	}
	fmt.Fprintln(sys.stderr, "a Docker engine answers: using containers (MODE=native runs without)")
	return dockerMode, nil
}

// claimMode refuses to run the stack in two ways at once, and notes the one it runs in.
func claimMode(ctx context.Context, mode string, co checkout.Checkout, sys environment) error {
	if mode == dockerMode && len(co.FindProcesses()) > 0 {
		return fmt.Errorf("%w (it runs with MODE=native)", checkout.ErrRunning)
	}
	if mode == nativeMode && readMode(co) == dockerMode && newContainerStack(co, sys).IsRunning(ctx) {
		return fmt.Errorf("%w (it runs with MODE=docker)", checkout.ErrRunning)
	}
	if err := os.WriteFile(co.Path("mode"), []byte(mode+"\n"), 0o600); err != nil {
		return fmt.Errorf("note the way it runs: %w", err)
	}
	return nil
}

// readMode is the way that the last up took.
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

// startContainers brings the stack up as containers.
func startContainers(ctx context.Context, co checkout.Checkout, sys environment) error {
	made, err := createSecrets(co, sys)
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
		if err := createAdminInContainer(ctx, stack, slices.Contains(made, checkout.AdminPassword)); err != nil {
			return err
		}
	}
	return printContainerStatus(ctx, co, sys)
}

// createAdminInContainer is createFirstAdmin inside the runtime container.
func createAdminInContainer(ctx context.Context, stack compose.Stack, newPassword bool) error {
	const file = "/run/secrets/" + checkout.AdminPassword
	if err := stack.Exec(ctx, "pgo", "exec", "user", "admin", "create", "--if-missing", "--email", adminEmail, "--name", "Admin", "--password-file", file); err != nil {
		return fmt.Errorf("make the first admin: %w", err)
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

// ensureDefaultCerts makes a certificate for development where there is none. Elsewhere somebody has to bring one; certbot begins
// with ours, so that the gateway serves HTTPS from its first start.
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

const certsFrom = "--from="

// runCerts makes the certificate for these hosts beside those that a developer's gateway has, or takes the one in the folder
// that certbot names, and has a gateway that runs use it.
func runCerts(ctx context.Context, args []string, co checkout.Checkout, sys environment) error {
	if err := co.MakeHome(); err != nil {
		return err
	}
	if len(args) == 1 && strings.HasPrefix(args[0], certsFrom) {
		if err := certs.Install(co.Path("certs"), strings.TrimPrefix(args[0], certsFrom), time.Now()); err != nil {
			return err
		}
		return reloadGateway(ctx, co, sys)
	}
	made, err := certs.Ensure(co.Path("certs"), append(certs.DefaultHosts(), args...), time.Now())
	if err != nil {
		return err
	}
	if made {
		fmt.Fprintln(sys.stdout, "made", relativePath(co, co.Path("certs", certs.Certificate)))
	}
	fmt.Fprintf(sys.stdout, "trust %s in your browser, or: curl --cacert %[1]s\n", relativePath(co, co.Path("certs", certs.Authority)))
	return reloadGateway(ctx, co, sys)
}

// reloadGateway has the gateway, where one runs, read its certificate. No connection is dropped.
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
