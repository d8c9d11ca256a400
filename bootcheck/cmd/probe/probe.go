package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"pgo/bootcheck/probe"
	"pgo/bootcheck/server"
)

const usage = `usage: probe mysql    --addr HOST:PORT --password-file FILE [--user NAME]
       probe redis    --addr HOST:PORT --password-file FILE [--user NAME]
       probe rabbitmq --addr HOST:PORT --api URL --password-file FILE [--user NAME] [--vhost NAME]
       probe http     URL...         each answers 2xx
       probe tcp      HOST:PORT...   each takes a connection
       probe scan     HOST           prints every port that takes one; takes a few seconds`

// Exit codes: 1 is "unhealthy" for every container engine.
const (
	exitUnhealthy = 1
	exitUsage     = 64
)

type usageError struct{ text string }

func (e usageError) Error() string { return e.text + "\n" + usage }

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

// run makes one check. Its error is what is wrong, for people.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return usageError{"what is to be probed?"}
	}
	kind, rest := args[0], args[1:]
	switch kind {
	case "http":
		return each(rest, func(url string) error { return get(ctx, url) })
	case "tcp":
		return each(rest, func(addr string) error { return dial(ctx, addr) })
	case "scan":
		return each(rest, func(host string) error { return scan(ctx, host, stdout) })
	case "mysql", "redis", "rabbitmq":
		return login(ctx, kind, rest)
	case "help", "-h", "--help":
		_, err := fmt.Fprintln(stdout, usage)
		return err
	}
	return usageError{fmt.Sprintf("nothing is known about %q", kind)}
}

// each stops at the first that fails and names it.
func each(targets []string, check func(string) error) error {
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

func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usageError{err.Error()}
	}
	// A redirect is an answer of somebody who does not serve this address.
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return reason(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 300))
	if err != nil {
		return reason(err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("it answers %s: %s", res.Status, bytes.TrimSpace(body))
	}
	return nil
}

func dial(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return reason(err)
	}
	return conn.Close()
}

// reason leaves out what the caller has said already.
func reason(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

func login(ctx context.Context, kind string, args []string) error {
	flags := flag.NewFlagSet(kind, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var access server.Access
	flags.StringVar(&access.Addr, "addr", "", "")
	flags.StringVar(&access.Username, "user", "pgo_admin", "")
	passwordFile := flags.String("password-file", "", "")
	api, vhost := new(string), new(string)
	if kind == "rabbitmq" {
		api, vhost = flags.String("api", "", ""), flags.String("vhost", "pgo", "")
	}
	if err := flags.Parse(args); err != nil {
		return usageError{err.Error()}
	}
	if access.Addr == "" || *passwordFile == "" || flags.NArg() > 0 || (kind == "rabbitmq" && *api == "") {
		return usageError{fmt.Sprintf("%s wants an address and a password's file", kind)}
	}
	password, err := os.ReadFile(*passwordFile)
	if err != nil {
		return fmt.Errorf("read the password: %w", err)
	}
	access.Password = strings.TrimRight(string(password), "\r\n")
	switch kind {
	case "mysql":
		return probe.MySQL(ctx, access)
	case "redis":
		return probe.Redis(ctx, access)
	}
	return probe.RabbitMQ(ctx, server.RabbitMQ{Access: access, API: *api, Vhost: *vhost})
}
