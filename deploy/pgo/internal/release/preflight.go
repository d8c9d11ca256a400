package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/processfile"
)

// Preflight runs a new program with `version --json` and `check` before it gets any work. Every service of pgo answers both
// without any server.
type Preflight struct {
	Runner  *command.Runner     // runs the commands
	Process processfile.Process // whose user, groups and limits the program gets
	Dir     string              // working directory
	Env     []string            // the complete environment: KEY=value
	Timeout time.Duration       // of each command; 10 s if 0
}

const defaultTimeout = 10 * time.Second

// ProgramInfo is a program's answer to `version --json`. Missing fields are empty.
type ProgramInfo struct {
	Version       string `json:"version"`
	Commit        string `json:"commit"`
	SchemaVersion int64  `json:"schema_version"`
}

// Reason is the kind of a failed preflight. It is an error, as Kind is.
type Reason string

// The reasons of a failed preflight.
const (
	CannotStart   Reason = "cannot be started"
	TimedOut      Reason = "did not answer in time"
	Exited        Reason = "failed"
	InvalidAnswer Reason = "answered something else"
)

// Error returns the reason's text.
func (r Reason) Error() string { return string(r) }

// PreflightError is returned for a program that failed the preflight.
type PreflightError struct {
	Command  string // "version --json" or "check"
	Reason   Reason
	ExitCode int    // its exit code, if it exited with one; 78 is a bad configuration
	Output   string // the end of its output
	Cause    error
}

// Error returns one line with the last line of the program's output.
func (e *PreflightError) Error() string {
	text := fmt.Sprintf("`%s` %s", e.Command, e.Reason)
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	lines := strings.Split(strings.TrimSpace(e.Output), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		text += ": " + last
	}
	return text
}

// Unwrap returns the Reason and the cause.
func (e *PreflightError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Cause}
}

// Run runs both commands. It returns a *PreflightError, unless ctx ended.
func (p Preflight) Run(ctx context.Context, program string) (ProgramInfo, error) {
	answer, err := p.QueryVersion(ctx, program)
	if err != nil {
		return ProgramInfo{}, err
	}
	return answer, p.CheckConfig(ctx, program)
}

// QueryVersion runs `version --json`.
func (p Preflight) QueryVersion(ctx context.Context, program string) (ProgramInfo, error) {
	const words = "version --json"
	output, err := p.queryOutput(ctx, program, words)
	if err != nil {
		return ProgramInfo{}, err
	}
	var answer ProgramInfo
	if err := json.Unmarshal(output, &answer); err != nil {
		return ProgramInfo{}, &PreflightError{Command: words, Reason: InvalidAnswer, Output: string(output), Cause: err}
	}
	return answer, nil
}

// CheckConfig runs `check`, which validates the program's configuration.
func (p Preflight) CheckConfig(ctx context.Context, program string) error {
	_, err := p.queryOutput(ctx, program, "check")
	return err
}

// queryOutput runs a command of the program and returns its standard output.
func (p Preflight) queryOutput(ctx context.Context, program, words string) ([]byte, error) {
	if p.Timeout == 0 {
		p.Timeout = defaultTimeout
	}
	limited, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	stdout, stderr := &command.Output{}, &command.Output{}
	err := p.Runner.Run(limited, command.Run{
		Process: p.Process, Program: program, Args: strings.Fields(words), Dir: p.Dir,
		Env: slices.DeleteFunc(slices.Clone(p.Env), isServiceVariable),
	}, stdout, stderr)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("ask `%s`: %w", words, context.Cause(ctx))
	}
	failed := &PreflightError{Command: words, Output: string(stderr.Bytes())}
	if failed.Output == "" {
		failed.Output = string(stdout.Bytes())
	}
	exit, _ := errors.AsType[*exec.ExitError](err)
	switch {
	case limited.Err() != nil:
		failed.Reason, failed.Cause = TimedOut, fmt.Errorf("within %s", p.Timeout)
	case err == nil && stdout.IsTruncated():
		failed.Reason, failed.Output, failed.Cause = InvalidAnswer, "", fmt.Errorf("more than %d bytes", command.MaxOutput)
	case err == nil:
		return stdout.Bytes(), nil
	case errors.Is(err, command.ErrClosed):
		return nil, fmt.Errorf("ask `%s`: %w", words, err)
	case exit != nil:
		failed.Reason, failed.ExitCode, failed.Cause = Exited, max(0, exit.ExitCode()), exit
	default:
		failed.Reason, failed.Cause = CannotStart, err
	}
	return nil, failed
}

// isServiceVariable reports whether a variable belongs to the service's own process. With it a preflight command could
// report readiness or take a listener in the service's place.
func isServiceVariable(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	switch name {
	case "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "WATCHDOG_USEC", "WATCHDOG_PID":
		return true
	}
	return false
}
