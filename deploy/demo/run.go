package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Exit codes, after sysexits.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 64
	exitUnavailable = 69
	exitInterrupted = 130
)

// options holds the command line.
type options struct {
	url    string        // the gateway
	home   string        // the state directory, which has the gateway's address
	within time.Duration // how long to wait for what follows by itself
}

func parseOptions(args []string, getenv func(string) string, stderr io.Writer) (options, error) {
	o := options{home: getenv("PGO_HOME")}
	if o.home == "" {
		o.home = ".pgo"
	}
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprintln(stderr, "usage: demo [--url URL] [--home DIR] [--within DURATION]\n\nFills a school through the gateway of a running stack and prints how to sign in.")
		f.PrintDefaults()
	}
	f.StringVar(&o.url, "url", "", "the `gateway`'s address (default: the one in the state directory)")
	f.StringVar(&o.home, "home", o.home, "the stack's state `directory`")
	f.DurationVar(&o.within, "within", time.Minute, "how long to wait for what follows from an event")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if u, err := url.Parse(o.url); o.url != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")) {
		return o, fmt.Errorf("--url %q: an address such as http://127.0.0.1:8080 is wanted", o.url)
	}
	if o.within <= 0 {
		return o, errors.New("--within: a duration above 0 is wanted")
	}
	return o, nil
}

// errStackDown is returned if no stack answers.
var errStackDown = errors.New("the stack is not up: make up brings it up")

// run does what args say and returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, getenv, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "demo: %v\n", err)
		return exitUsage
	}
	err = fillSchool(ctx, o, stdout, stderr)
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "demo: interrupted; what was made so far stays")
		return exitInterrupted
	case errors.Is(err, errStackDown):
		fmt.Fprintf(stderr, "demo: %v\n", err)
		return exitUnavailable
	}
	fmt.Fprintf(stderr, "demo: %v\n", err)
	return exitFailed
}

// fillSchool makes one school with everything in it and prints how to sign in.
func fillSchool(ctx context.Context, o options, stdout, stderr io.Writer) error {
	env, err := readEnv(o.home)
	if err != nil && o.url == "" {
		return fmt.Errorf("%w (%w)", errStackDown, err)
	}
	if o.url == "" {
		o.url = "http://" + env["GATEWAY_HTTP"]
	}
	api := newAPI(o.url, o.within)
	if err := api.checkServices(ctx); err != nil {
		return err
	}
	b := builder{
		api: api, progress: progress{w: stderr, every: 2 * time.Second},
		// Others who can reach the stack must not guess how to sign in.
		tag: strings.ToLower(rand.Text()[:6]), password: rand.Text(),
	}
	s, err := b.buildSchool(ctx)
	if err != nil {
		return err
	}
	return s.printSummary(stdout, env["PGO_ENV"] == "dev", filepath.Join(o.home, "secrets", "admin_password"))
}

// readEnv reads the values that the stack was last brought up with, as containers or without.
func readEnv(home string) (map[string]string, error) {
	path := filepath.Join(home, "env")
	if mode, err := os.ReadFile(filepath.Join(home, "mode")); err == nil && strings.TrimSpace(string(mode)) == "docker" {
		path = filepath.Join(home, "docker", "compose.env")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	env := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok && !strings.HasPrefix(key, "#") {
			env[key] = value
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if env["GATEWAY_HTTP"] == "" {
		return nil, fmt.Errorf("%s does not name a gateway", f.Name())
	}
	return env, nil
}
