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
func chooseMode(ctx context.Context, co checkout.Checkout, sys surroundings) (string, error) {
	switch mode := sys.getenv("MODE"); mode {
	case nativeMode:
		return mode, nil
	case dockerMode:
		return mode, compose.Answers(ctx)
	case "":
	default:
		return "", usageError{fmt.Sprintf("MODE=%q: native or docker", mode)}
	}
	if len(co.FindProcesses()) > 0 {
		return nativeMode, nil
	}
	if err := compose.Answers(ctx); err != nil {
		return nativeMode, nil //nolint:nilerr // that no engine answers is the reason
	}
	fmt.Fprintln(sys.stderr, "a Docker engine answers: using containers (MODE=native runs without)")
	return dockerMode, nil
}

// onlyMode refuses to run the stack in two ways at once, and notes the one it runs in.
func onlyMode(ctx context.Context, mode string, co checkout.Checkout, sys surroundings) error {
	if mode == dockerMode && len(co.FindProcesses()) > 0 {
		return fmt.Errorf("%w (it runs with MODE=native)", checkout.ErrRunning)
	}
	if mode == nativeMode && lastMode(co) == dockerMode && containers(co, sys).Running(ctx) {
		return fmt.Errorf("%w (it runs with MODE=docker)", checkout.ErrRunning)
	}
	if err := os.WriteFile(co.Path("mode"), []byte(mode+"\n"), 0o600); err != nil {
		return fmt.Errorf("note the way it runs: %w", err)
	}
	return nil
}

// lastMode is the way that the last up took.
func lastMode(co checkout.Checkout) string {
	text, err := os.ReadFile(co.Path("mode"))
	if err != nil {
		return nativeMode
	}
	return strings.TrimSpace(string(text))
}

func containers(co checkout.Checkout, sys surroundings) compose.Stack {
	return compose.Stack{Checkout: co, Getenv: sys.getenv, Out: sys.stdout, Err: sys.stderr}
}

// upContainers brings the stack up as containers.
func upContainers(ctx context.Context, co checkout.Checkout, sys surroundings) error {
	made, err := secrets(co, sys)
	if err != nil {
		return err
	}
	if err := defaultCerts(co, sys); err != nil {
		return err
	}
	stack := containers(co, sys)
	if err := stack.Up(ctx); err != nil {
		return err
	}
	if stack.Environment() == "dev" {
		if err := adminInContainer(ctx, stack, slices.Contains(made, checkout.AdminPassword)); err != nil {
			return err
		}
	}
	return containerStatus(ctx, co, sys)
}

// adminInContainer is firstAdmin inside the runtime container.
func adminInContainer(ctx context.Context, stack compose.Stack, newPassword bool) error {
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

func containerStatus(ctx context.Context, co checkout.Checkout, sys surroundings) error {
	stack := containers(co, sys)
	if err := compose.Answers(ctx); err != nil {
		return err
	}
	table, err := stack.Rows(ctx, func(path string) string { return nearPath(co, path) })
	if err != nil {
		return err
	}
	if stack.Environment() == "dev" {
		table = append(table, compose.Row{What: "sign in", Where: signIn(co)})
	}
	return printTable(table, sys)
}

func composeByHand(ctx context.Context, args []string, co checkout.Checkout, sys surroundings) error {
	code, err := containers(co, sys).Compose(ctx, sys.stdin, args)
	if err == nil && code != exitOK {
		return exitError{code}
	}
	return err
}

// defaultCerts makes a certificate for development where there is none. Elsewhere somebody has to bring one; certbot begins
// with ours, so that the gateway serves HTTPS from its first start.
func defaultCerts(co checkout.Checkout, sys surroundings) error {
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

// makeCerts makes the certificate for these hosts beside those that a developer's gateway has, or takes the one in the folder
// that certbot names, and has a gateway that runs use it.
func makeCerts(ctx context.Context, args []string, co checkout.Checkout, sys surroundings) error {
	if err := co.MakeHome(); err != nil {
		return err
	}
	if len(args) == 1 && strings.HasPrefix(args[0], certsFrom) {
		if err := certs.Install(co.Path("certs"), strings.TrimPrefix(args[0], certsFrom), time.Now()); err != nil {
			return err
		}
		return renewed(ctx, co, sys)
	}
	made, err := certs.Ensure(co.Path("certs"), append(certs.DefaultHosts(), args...), time.Now())
	if err != nil {
		return err
	}
	if made {
		fmt.Fprintln(sys.stdout, "made", nearPath(co, co.Path("certs", certs.Certificate)))
	}
	fmt.Fprintf(sys.stdout, "trust %s in your browser, or: curl --cacert %[1]s\n", nearPath(co, co.Path("certs", certs.Authority)))
	return renewed(ctx, co, sys)
}

// renewed has the gateway, where one runs, read its certificate. No connection is dropped.
func renewed(ctx context.Context, co checkout.Checkout, sys surroundings) error {
	if lastMode(co) == dockerMode {
		return containers(co, sys).RefreshGateway(ctx)
	}
	if len(co.FindProcesses()) == 0 {
		return nil
	}
	env, err := co.ReadEnv()
	if err != nil {
		return err
	}
	if err := gateway.Render(co, env); err != nil {
		return err
	}
	return pass(ctx, co, sys, co.ProgramPath("pgo"), "signal", "SIGHUP", "gateway")
}
