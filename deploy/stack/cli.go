package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

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

// environment is everything that the program takes from outside: directory, environment variables and streams.
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

// usageError is a wrong command line: exit code 64.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// exitError passes on another program's exit code, without a message.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// run executes the command line, prints its error and returns the exit code.
func run(ctx context.Context, args []string, sys environment) int {
	root := newRootCommand(sys)
	root.SetArgs(args)
	root.SetOut(sys.stdout)
	root.SetErr(sys.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var (
		wrongUsage  usageError
		childExit   exitError
		refused     *install.RefusedError
		busyPort    *checkout.BusyPortError
		engineError *compose.EngineError
	)
	if errors.As(err, &childExit) {
		return childExit.code
	}
	fmt.Fprintf(sys.stderr, "stack: %v\n", err)
	switch {
	case errors.As(err, &wrongUsage):
		return exitUsage
	case errors.As(err, &refused), errors.As(err, &busyPort), errors.As(err, &engineError):
		return exitUnavailable
	}
	return exitFailed
}

func newRootCommand(sys environment) *cobra.Command {
	root := &cobra.Command{
		Use: "stack", Short: "Run the whole stack on this machine, natively or as containers",
		Long: "Run the whole stack on this machine, natively or as containers.\n\n" +
			"Environment: PGO_HOME (default .pgo), PORT_OFFSET (default 0), MODE (native or docker)",
		SilenceUsage: true, SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Sprintf("unknown command %q: `stack help` lists the commands", args[0])}
			}
			return usageError{"no command: `stack help` lists the commands"}
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err.Error()} })
	root.AddCommand(
		newStackCommand(sys, "up", "Bring everything up, with pgo and the first admin, and print where it is", runUp),
		newStackCommand(sys, "dev", "Bring everything up, then build and switch at every save", runDev),
		newStackCommand(sys, "down", "Stop everything that up started; data stays", runDown),
		newStackCommand(sys, "clean", "Stop everything and remove the home with all data", runClean),
		newStackCommand(sys, "status", "Print every part's state and address", printStatus),
		newInstallCommand(sys), newComposeCommand(sys), newCertsCommand(sys),
		newStackCommand(sys, "secrets", "Create the missing secret files", func(_ context.Context, co checkout.Checkout, sys environment) error {
			_, err := createSecrets(co, sys)
			return err
		}),
		newStackCommand(sys, "prepare", "Choose ports and write the configuration", func(_ context.Context, co checkout.Checkout, sys environment) error {
			return prepareConfig(co, sys)
		}),
		newRunCommand(sys), newWithServersCommand(sys))
	return root
}

// newStackCommand returns a command without arguments that works in the checkout.
func newStackCommand(sys environment, name, short string, do func(context.Context, checkout.Checkout, environment) error) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Args: rejectArguments, RunE: func(cmd *cobra.Command, _ []string) error {
		co, err := checkout.Find(sys.dir, sys.getenv)
		if err != nil {
			return err
		}
		return do(cmd.Context(), co, sys)
	}}
}

func rejectArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{cmd.Name() + " takes no arguments"}
	}
	return nil
}

func newInstallCommand(sys environment) *cobra.Command {
	var assumeYes, withTests bool
	cmd := &cobra.Command{Use: "install", Short: "Install missing servers from the distribution's packages, without starting them", Args: rejectArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runInstall(cmd.Context(), sys, assumeYes, withTests)
		}}
	cmd.Flags().BoolVar(&assumeYes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&withTests, "tests", false, "install what only the tests need, too")
	return cmd
}

func newComposeCommand(sys environment) *cobra.Command {
	return &cobra.Command{Use: "compose ARGS...", Short: "Run docker compose for this checkout: compose restart mysql", DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			co, err := checkout.Find(sys.dir, sys.getenv)
			if err != nil {
				return err
			}
			return runCompose(cmd.Context(), args, co, sys)
		}}
}

func newCertsCommand(sys environment) *cobra.Command {
	var from string
	cmd := &cobra.Command{Use: "certs [HOST...]", Short: "Create the gateway's development certificate, or install certbot's",
		RunE: func(cmd *cobra.Command, hosts []string) error {
			if from != "" && len(hosts) > 0 {
				return usageError{"certs takes either hosts or --from"}
			}
			co, err := checkout.Find(sys.dir, sys.getenv)
			if err != nil {
				return err
			}
			if from != "" {
				return installCerts(cmd.Context(), from, co, sys)
			}
			return createCerts(cmd.Context(), hosts, co, sys)
		}}
	cmd.Flags().StringVar(&from, "from", "", "install the certificate and key from certbot's `directory`")
	return cmd
}

func newRunCommand(sys environment) *cobra.Command {
	return &cobra.Command{
		Use: "run SERVER", Short: "Replace this process by a server of the stack",
		Long: "Replace this process by a server of the stack: mysql, redis, epmd, rabbitmq, nginx, or a part of the\n" +
			"monitoring, as configs/pgo.yaml names it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			co, err := checkout.Find(sys.dir, sys.getenv)
			if err != nil {
				return err
			}
			return runServer(cmd.Context(), args, co)
		}}
}

func newWithServersCommand(sys environment) *cobra.Command {
	var mysqlImage string
	cmd := &cobra.Command{Use: "with-servers [--mysql-image=IMAGE] -- COMMAND [ARGS...]", Short: "Run a command with private servers, named in PGO_TEST_*",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runWithServers(cmd.Context(), mysqlImage, args, sys)
		}}
	cmd.Flags().StringVar(&mysqlImage, "mysql-image", "", "run MySQL from this container `image`")
	cmd.Flags().SetInterspersed(false)
	return cmd
}
