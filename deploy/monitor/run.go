package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"pgo/deploy/monitor/board"
	"pgo/deploy/monitor/check"
	"pgo/deploy/monitor/slo"
)

const usage = `usage: monitor VERB, in a checkout

  rules    makes deploy/prometheus/rules/slo.yml of deploy/prometheus/slo.yaml, and info.yml of the alerts
  boards   makes deploy/grafana/boards
  record   scrapes the native stack that runs here; makes deploy/monitor/recorded.yaml and docs/metrics*.md
  check    says what is wrong with rules, tests, runbooks and boards
`

// Exit codes, after sysexits.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 64
)

// usageError is a call that makes no sense.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := dispatch(ctx, args, stdout)
	var misuse usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &misuse):
		fmt.Fprintf(stderr, "monitor: %v\n%s", err, usage)
		return exitUsage
	}
	fmt.Fprintf(stderr, "monitor: %v\n", err)
	return exitFailed
}

func dispatch(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return usageError{"no verb"}
	}
	root, err := findCheckout()
	if err != nil {
		return err
	}
	switch verb := args[0]; verb {
	case "rules":
		return writeRules(root)
	case "boards":
		return writeBoards(root)
	case "record":
		return record(ctx, root)
	case "check":
		return checkAll(root, stdout)
	case "help":
		_, err := io.WriteString(stdout, usage)
		return err
	default:
		return usageError{fmt.Sprintf("unknown verb %q", verb)}
	}
}

// checkout returns the directory of go.work, here or above.
func findCheckout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the checkout: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the checkout: no go.work here or above")
		}
		dir = parent
	}
}

func writeBoards(root string) error {
	dir := filepath.Join(root, "deploy", "grafana", "boards")
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove the old boards: %w", err)
	}
	for _, b := range board.All() {
		text, err := b.JSON()
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(dir, b.Folder), 0o755); err != nil {
			return fmt.Errorf("make a directory of boards: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, b.Folder, b.UID+".json"), text, 0o644); err != nil {
			return fmt.Errorf("write a board: %w", err)
		}
	}
	return nil
}

// checkAll prints all problems and fails if there is one.
func checkAll(root string, stdout io.Writer) error {
	problems, err := check.All(os.DirFS(root))
	if err != nil {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(stdout, p)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%d problems", len(problems))
	}
	return nil
}

func writeRules(root string) error {
	dir := filepath.Join(root, "deploy", "prometheus")
	text, err := os.ReadFile(filepath.Join(dir, "slo.yaml"))
	if err != nil {
		return fmt.Errorf("read objectives: %w", err)
	}
	c, err := slo.Parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, "slo.yaml"), err)
	}
	made, err := slo.Rules(c)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "rules", "slo.yml"), made, 0o644); err != nil {
		return fmt.Errorf("write the SLO rules: %w", err)
	}
	if made, err = check.AlertInfo(os.DirFS(root)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, check.AlertInfoFile), made, 0o644)
}
