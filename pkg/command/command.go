// Package command is the command line that every service's binary has: what it can tell about itself
// without any server, and how it ends.
package command

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pgo/pkg/buildinfo"
	"pgo/pkg/config"
	"pgo/pkg/migrate"
	"pgo/pkg/mq"
	"pgo/pkg/problem"
)

// Service is what a service's binary brings.
type Service struct {
	Name       string
	Short      string      // one line
	Migrations fs.FS       // *.sql
	Topology   mq.Topology // what it consumes
	OpenAPI    []byte      // its specification
	Check      func() error
	Serve      func(ctx context.Context) error
}

// New returns the root command: without a subcommand it serves. Others can be added to it.
func New(s Service) *cobra.Command {
	root := &cobra.Command{
		Use: s.Name, Short: s.Short, Args: noSubcommand, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.Serve(cmd.Context()) },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(s.version(),
		&cobra.Command{Use: "check", Short: "Say whether the configuration is valid", Args: NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.Check(); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "configuration is valid")
			return err
		}},
		&cobra.Command{Use: "migrations", Short: "Write the migration files as a tar to stdout", Args: NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			return writeTar(cmd.OutOrStdout(), s.Migrations)
		}},
		&cobra.Command{Use: "topology", Short: "Write the queues it consumes as JSON to stdout", Args: NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(s.Topology)
		}},
		&cobra.Command{Use: "openapi", Short: "Write its API's specification to stdout", Args: NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(s.OpenAPI)
			return err
		}})
	return root
}

func (s Service) version() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "version", Short: "Say what it was built from", Args: NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		ms, err := migrate.Read(s.Migrations)
		if err != nil {
			return fmt.Errorf("read migrations: %w", err)
		}
		return buildinfo.Read(migrate.Latest(ms)).Write(cmd.OutOrStdout(), asJSON)
	}}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object")
	return cmd
}

// NewGroup returns a command that does nothing on its own and holds others; without one of them it is a wrong
// command line.
func NewGroup(name, short string) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Args: noSubcommand, RunE: func(cmd *cobra.Command, _ []string) error {
		var names []string
		for _, c := range cmd.Commands() {
			names = append(names, c.Name())
		}
		return &usageError{fmt.Errorf("%s needs one of: %s", name, strings.Join(names, ", "))}
	}}
}

// noSubcommand is the answer to a first argument that names no command.
func noSubcommand(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("unknown command %q", args[0])}
	}
	return nil
}

// NoArgs is cobra.NoArgs with an error that ends in exit code 64.
func NoArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}

// usageError is a wrong command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// MarkUsage marks err as one of a wrong command line.
func MarkUsage(err error) error { return &usageError{err} }

// Exit codes as in sysexits.h.
const (
	exitFailed      = 1
	exitUsage       = 64
	exitUnavailable = 69
)

// Run executes root and returns the exit code: 78 for a bad configuration, 64 for a wrong command line, 69 when a
// server that it needs cannot be reached, 1 for the rest. An error is one line on stderr.
func Run(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "%s: %s\n", root.Name(), strings.ReplaceAll(err.Error(), "\n", "; "))
	if _, ok := errors.AsType[*config.Error](err); ok {
		return config.ExitCode
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	if errors.Is(err, problem.Unavailable()) || errors.Is(err, mq.ErrNotConnected) {
		return exitUnavailable
	}
	return exitFailed
}

const closeTimeout = 3 * time.Second // for sending the last spans and closing connections

// CloseAndJoin ends what a command has opened and joins its error to the command's, in a defer: defer Close(&err, broker.Close).
func CloseAndJoin(err *error, end func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	*err = errors.Join(*err, end(ctx))
}

func writeTar(w io.Writer, files fs.FS) error {
	t := tar.NewWriter(w)
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return fmt.Errorf("list migrations: %w", err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return fmt.Errorf("read migration: %w", err)
		}
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if _, err := t.Write(text); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return t.Close()
}
