package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"pgo/bootcheck/probe"
	"pgo/bootcheck/server"
	"pgo/pkg/config"
)

// Exit codes: every container engine takes 1 for "unhealthy".
const (
	exitUnhealthy = 1
	exitUsage     = 64
)

// usageError is a wrong command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text + ": `probe help` prints the usage" }

func exitCode(err error) int {
	var misuse usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &misuse):
		return exitUsage
	}
	return exitUnhealthy
}

// run executes one check. Its error tells a person what is wrong.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	return root.ExecuteContext(ctx)
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "probe", Short: "Check whether a server serves", SilenceUsage: true, SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Sprintf("unknown kind of server %q", args[0])}
			}
			return usageError{"no kind of server is named"}
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err.Error()} })
	root.AddCommand(
		newLoginCommand("mysql", "Log in to MySQL and run a query", func(ctx context.Context, l login) error { return probe.CheckMySQL(ctx, l.Access) }),
		newLoginCommand("redis", "Log in to Redis and send a PING", func(ctx context.Context, l login) error { return probe.CheckRedis(ctx, l.Access) }),
		newRabbitMQCommand(),
		newTargetsCommand("http URL...", "Check that each URL answers with 2xx", checkHTTP),
		newTargetsCommand("tcp HOST:PORT...", "Check that each address accepts a connection", checkTCP),
		newScanCommand())
	return root
}

// login is an account on a server, with its password in a file.
type login struct {
	server.Access
	passwordFile string
	api, vhost   string // of RabbitMQ
}

// newLoginCommand returns a command that checks a server with an account.
func newLoginCommand(name, short string, check func(context.Context, login) error) *cobra.Command {
	var l login
	cmd := &cobra.Command{Use: name + " --addr HOST:PORT --password-file FILE", Short: short, Args: cobra.ArbitraryArgs}
	cmd.Flags().StringVar(&l.Addr, "addr", "", "`address` of the server")
	cmd.Flags().StringVar(&l.Username, "user", "pgo_admin", "`name` of the account")
	cmd.Flags().StringVar(&l.passwordFile, "password-file", "", "`file` with the account's password")
	if name == "rabbitmq" {
		cmd.Use += " --api URL"
		cmd.Flags().StringVar(&l.api, "api", "", "`URL` of the management API")
		cmd.Flags().StringVar(&l.vhost, "vhost", "pgo", "virtual host to open")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if l.Addr == "" || l.passwordFile == "" || len(args) > 0 || (name == "rabbitmq" && l.api == "") {
			return usageError{"wrong arguments: " + cmd.UseLine()}
		}
		password, err := config.ReadSecretFile(l.passwordFile)
		if err != nil {
			return fmt.Errorf("read the password: %w", err)
		}
		l.Password = password
		return check(cmd.Context(), l)
	}
	return cmd
}

func newRabbitMQCommand() *cobra.Command {
	return newLoginCommand("rabbitmq", "Call RabbitMQ's management API and open a channel", func(ctx context.Context, l login) error {
		return probe.CheckRabbitMQ(ctx, server.RabbitMQ{Access: l.Access, API: l.api, Vhost: l.vhost})
	})
}

// newTargetsCommand returns a command that checks each of its arguments and stops at the first failure.
func newTargetsCommand(use, short string, check func(ctx context.Context, target string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, RunE: func(cmd *cobra.Command, args []string) error {
		return checkEach(args, func(target string) error { return check(cmd.Context(), target) })
	}}
}

func newScanCommand() *cobra.Command {
	return &cobra.Command{Use: "scan HOST...", Short: "Print every port that accepts a connection", RunE: func(cmd *cobra.Command, args []string) error {
		return checkEach(args, func(host string) error { return printOpenPorts(cmd.Context(), host, cmd.OutOrStdout()) })
	}}
}

// checkEach stops at the first target whose check fails and names it.
func checkEach(targets []string, check func(string) error) error {
	if len(targets) == 0 {
		return usageError{"name at least one address"}
	}
	for _, target := range targets {
		if err := check(target); err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	return nil
}
