// Package command is the command line that every service's binary has: the commands that need no server, those for its dead
// letters, and the exit codes.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"pgo/pkg/buildinfo"
	"pgo/pkg/migrate"
	"pgo/pkg/mq"
)

// Service describes the service whose command line New returns.
type Service struct {
	Name       string
	Short      string      // one line
	Migrations fs.FS       // *.sql
	Topology   mq.Topology // the queues that it consumes
	OpenAPI    []byte      // its specification

	Check  func() error                    // reads the configuration
	Serve  func(ctx context.Context) error // runs the service until ctx ends
	Broker func() (mq.Config, error)       // returns the broker of its queues; nil leaves out the commands for dead letters
}

// New returns the root command, which serves without a subcommand. Others can be added to it.
func New(s Service) *cobra.Command {
	root := &cobra.Command{
		Use: s.Name, Short: s.Short, Args: rejectArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.Serve(cmd.Context()) },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return MarkUsage(err) })
	root.AddCommand(newVersionCommand(s.Migrations), newCheckCommand(s.Check, s.Migrations), newMigrationsCommand(s.Migrations),
		newTopologyCommand(s.Topology), newOpenAPICommand(s.OpenAPI))
	if s.Broker != nil {
		root.AddCommand(NewEventsCommand(s.Topology, s.Broker))
	}
	return root
}

func newVersionCommand(migrations fs.FS) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "version", Short: "Print what the binary was built from", Args: NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		ms, err := migrate.Read(migrations)
		if err != nil {
			return fmt.Errorf("read migrations: %w", err)
		}
		return buildinfo.Read(migrate.Latest(ms)).Write(cmd.OutOrStdout(), asJSON)
	}}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func newCheckCommand(check func() error, migrations fs.FS) *cobra.Command {
	return &cobra.Command{Use: "check", Short: "Check the configuration and the migrations", Args: NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		if err := check(); err != nil {
			return err
		}
		if _, err := migrate.Read(migrations); err != nil {
			return fmt.Errorf("read migrations: %w", err)
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "configuration is valid")
		return err
	}}
}

func newMigrationsCommand(migrations fs.FS) *cobra.Command {
	return &cobra.Command{Use: "migrations", Short: "Write the migration files as a tar to stdout", Args: NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return writeTar(cmd.OutOrStdout(), migrations)
	}}
}

func newTopologyCommand(t mq.Topology) *cobra.Command {
	return &cobra.Command{Use: "topology", Short: "Write the queues that the service consumes as JSON to stdout", Args: NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(t)
	}}
}

func newOpenAPICommand(specification []byte) *cobra.Command {
	return &cobra.Command{Use: "openapi", Short: "Write the API's specification to stdout", Args: NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		_, err := cmd.OutOrStdout().Write(specification)
		return err
	}}
}

// NewGroup returns a command that holds others and does nothing on its own: without one of them the command line is wrong.
func NewGroup(name, short string) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Args: rejectArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		var names []string
		for _, c := range cmd.Commands() {
			names = append(names, c.Name())
		}
		return MarkUsage(fmt.Errorf("%s needs one of: %s", name, strings.Join(names, ", ")))
	}}
}

// rejectArgs rejects a first argument that names no command.
func rejectArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return MarkUsage(fmt.Errorf("unknown command %q", args[0]))
	}
	return nil
}

// NoArgs is cobra.NoArgs with an error that ends in exit code 64.
func NoArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return MarkUsage(fmt.Errorf("unexpected argument %q", args[0]))
	}
	return nil
}

// ExactArgs returns a check for exactly one argument for each of names, with an error that ends in exit code 64.
func ExactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return MarkUsage(errors.New(cmd.Name() + " needs one " + strings.Join(names, " and one ")))
		}
		return nil
	}
}
