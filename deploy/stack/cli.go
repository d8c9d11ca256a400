package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"pgo/deploy/stack/internal/checkout"
	"pgo/deploy/stack/internal/compose"
	"pgo/deploy/stack/internal/install"
)

// Exit codes, after sysexits.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 64
	exitUnavailable = 69
)

const usage = `usage: stack VERB

  up                         everything below, then pgo and the first admin; prints where things are
  dev                        up, then builds and switches again at every save
  down                       stops all that up started; data stays
  clean                      down, and removes the state folder with all data
  status                     prints where things are and their states
  install [--yes] [--tests]  installs the distribution's servers that are missing, without starting them
  compose ARGS...            docker compose for this state folder: compose restart mysql
  certs [HOST...]            makes the gateway's certificate for development, with an authority of this checkout
  certs --from=DIR           makes the pair of certbot in DIR the gateway's
  secrets                    makes the secret files that are missing
  prepare                    chooses ports and writes the configuration
  run SERVER                 becomes a server: mysql, redis, epmd, rabbitmq, nginx, or a part of the
                             monitoring, as configs/pgo.yaml names it
  with-servers [--mysql-image=IMAGE] -- COMMAND
                             runs a command with private servers named in PGO_TEST_*; they end with it

environment: PGO_HOME (default .pgo), PORT_OFFSET (default 0), MODE (native or docker)
`

// environment is what the program has of the outside.
type environment struct {
	getenv   func(string) string
	dir      string
	stdin    *os.File
	stdout   io.Writer
	stderr   io.Writer
	terminal bool
}

func newEnvironment() environment {
	dir, err := os.Getwd()
	if err != nil {
		dir = "."
	}
	return environment{
		getenv: os.Getenv, dir: dir,
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		terminal: isTerminal(os.Stdin) && isTerminal(os.Stderr),
	}
}

// usageError is a call that makes no sense: exit 64.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// exitError carries another program's exit code through.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// run does what args say and returns the exit code.
func run(ctx context.Context, args []string, sys environment) int {
	err := dispatch(ctx, args, sys)
	var (
		misuse  usageError
		passed  exitError
		refused *install.RefusedError
		busy    *checkout.BusyPortError
		engine  *compose.EngineError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &passed):
		return passed.code
	case errors.As(err, &misuse):
		fmt.Fprintf(sys.stderr, "stack: %v\n", err)
		return exitUsage
	case errors.As(err, &refused), errors.As(err, &busy), errors.As(err, &engine):
		fmt.Fprintf(sys.stderr, "stack: %v\n", err)
		return exitUnavailable
	}
	fmt.Fprintf(sys.stderr, "stack: %v\n", err)
	return exitFailed
}

func dispatch(ctx context.Context, args []string, sys environment) error {
	if len(args) == 0 {
		return usageError{"no verb\n" + usage}
	}
	verb, rest := args[0], args[1:]
	switch verb {
	case "install":
		return runInstall(ctx, rest, sys)
	case "with-servers":
		return runWithServers(ctx, rest, sys)
	case "help", "-h", "--help":
		_, err := io.WriteString(sys.stdout, usage)
		return err
	}
	co, err := checkout.Find(sys.dir, sys.getenv)
	if err != nil {
		return err
	}
	switch verb {
	case "run":
		return runServer(ctx, rest, co)
	case "compose":
		return runCompose(ctx, rest, co, sys)
	case "certs":
		return runCerts(ctx, rest, co, sys)
	}
	if len(rest) > 0 {
		return usageError{fmt.Sprintf("%s takes no arguments", verb)}
	}
	switch verb {
	case "up":
		return runUp(ctx, co, sys)
	case "dev":
		return runDev(ctx, co, sys)
	case "down":
		return runDown(ctx, co, sys)
	case "clean":
		return runClean(ctx, co, sys)
	case "status":
		return printStatus(ctx, co, sys)
	case "secrets":
		_, err := createSecrets(co, sys)
		return err
	case "prepare":
		return prepareConfig(co, sys)
	}
	return usageError{fmt.Sprintf("unknown verb %q\n%s", verb, usage)}
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	return isatty(f.Fd())
}
