package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"pgo/bootcheck/gate"
	"pgo/pkg/buildinfo"
	"pgo/pkg/config"
	"pgo/pkg/migrate"
)

// run executes the command line. exitCode translates its error.
func run(ctx context.Context, args, environ []string, stdout io.Writer) error {
	root := newRootCommand(environ)
	root.SetArgs(args)
	root.SetOut(stdout)
	return root.ExecuteContext(ctx)
}

// newRootCommand returns the whole command line. Without a subcommand it serves.
func newRootCommand(environ []string) *cobra.Command {
	root := newAppCommand(environ, "bootcheck", "Wait for the servers, migrate and let services start", runServer)
	root.SilenceUsage, root.SilenceErrors = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return newUsageError(err.Error()) })
	root.AddCommand(
		newAppCommand(environ, "serve", "Wait, migrate, let services start, and stay up (the default)", runServer),
		newAppCommand(environ, "once", "Wait, migrate, let services start, and exit", runOnce),
		newAppCommand(environ, "check", "Validate the configuration and the migrations of the binaries", reportValid),
		newAppCommand(environ, "plan", "Print the migrations that would be applied", printPlan),
		newResolveCommand(environ), newVersionCommand())
	return root
}

// newAppCommand returns a command without arguments that works with the configured gate.
func newAppCommand(environ []string, name, short string, do func(context.Context, *app) error) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Args: rejectArguments, RunE: func(cmd *cobra.Command, _ []string) error {
		return withApp(cmd, environ, do)
	}}
}

// newResolveCommand returns the command that settles an interrupted statement of a migration.
func newResolveCommand(environ []string) *cobra.Command {
	var (
		resolution migrate.Resolution
		service    string
		redo       bool
	)
	cmd := &cobra.Command{
		Use:   "resolve --service NAME --version N --statement M --done|--redo",
		Short: "Decide whether an interrupted statement of a migration was applied", Args: rejectArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if service == "" || resolution.Version < 1 || resolution.Statement < 1 || resolution.Done == redo {
				return newUsageError("resolve needs --service, --version, --statement and one of --done and --redo")
			}
			return withApp(cmd, environ, func(ctx context.Context, a *app) error { return resolveStatement(ctx, a, service, resolution) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&service, "service", "", "`name` of the service that the migration belongs to")
	flags.Int64Var(&resolution.Version, "version", 0, "`version` of the migration")
	flags.IntVar(&resolution.Statement, "statement", 0, "`number` of the statement in the migration, from 1")
	flags.BoolVar(&resolution.Done, "done", false, "the statement was applied: continue after it")
	flags.BoolVar(&redo, "redo", false, "the statement was not applied: run it again")
	return cmd
}

func newVersionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "version", Short: "Print the version", Args: rejectArguments, RunE: func(cmd *cobra.Command, _ []string) error {
		return buildinfo.Read(0).Write(cmd.OutOrStdout(), asJSON)
	}}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// rejectArguments is cobra.NoArgs with an error that ends in exit code 64.
func rejectArguments(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case !cmd.HasParent():
		return newUsageError(fmt.Sprintf("unknown command %q", args[0]))
	}
	return newUsageError(cmd.Name() + " takes no arguments")
}

func newUsageError(text string) error {
	return &gate.Failure{Code: gate.ExitUsage, Err: errors.New(text + ": `bootcheck help` lists the commands")}
}

// exitCode follows sysexits.h: 64 usage, 65 a migration that failed, 69 a missing server or binary, 78 configuration.
func exitCode(err error) int {
	var failure *gate.Failure
	var invalid *config.Error
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return 0
	case errors.As(err, &invalid):
		return gate.ExitConfig
	case errors.As(err, &failure):
		return failure.Code
	}
	return 1
}
