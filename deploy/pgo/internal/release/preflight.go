package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/proc"
)

// Preflight runs a new program with `version --json` and `check` before it gets any work. Every service of pgo answers both
// without any server.
type Preflight struct {
	Dir     string              // working directory
	Env     []string            // the complete environment: KEY=value
	Timeout time.Duration       // of each command; 10 s if 0
	User    *syscall.Credential // user to run as; nil: as this process
}

const (
	defaultTimeout = 10 * time.Second
	maxOutput      = 64 << 10 // bytes of output that are kept
	maxBusyWait    = 2 * time.Second
)

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
	const command = "version --json"
	output, err := p.queryOutput(ctx, program, command)
	if err != nil {
		return ProgramInfo{}, err
	}
	var answer ProgramInfo
	if err := json.Unmarshal(output, &answer); err != nil {
		return ProgramInfo{}, &PreflightError{Command: command, Reason: InvalidAnswer, Output: string(output), Cause: err}
	}
	return answer, nil
}

// CheckConfig runs `check`, which validates the program's configuration.
func (p Preflight) CheckConfig(ctx context.Context, program string) error {
	_, err := p.queryOutput(ctx, program, "check")
	return err
}

// queryOutput runs a command of the program and returns its standard output.
func (p Preflight) queryOutput(ctx context.Context, program, command string) ([]byte, error) {
	if p.Timeout == 0 {
		p.Timeout = defaultTimeout
	}
	limited, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	for start := time.Now(); ; {
		output, err := p.runOnce(limited, program, command)
		// Another goroutine may have forked while the file was open for writing: until the child has called exec, it holds the
		// file open too.
		if !errors.Is(err, unix.ETXTBSY) || time.Since(start) > maxBusyWait {
			if ctx.Err() != nil {
				return nil, fmt.Errorf("ask `%s`: %w", command, ctx.Err())
			}
			return output, err
		}
		select {
		case <-limited.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (p Preflight) runOnce(ctx context.Context, program, command string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, strings.Fields(command)...)
	cmd.Dir, cmd.Env = p.Dir, slices.DeleteFunc(slices.Clone(p.Env), isServiceVariable)
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would inherit this process's environment
	}
	stdout, stderr := &outputTail{}, &outputTail{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// Killing the group ends all its children, so that none of them blocks Wait by holding the output open.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.User}
	cmd.Cancel = func() error { return proc.KillGroup(cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 200 * time.Millisecond
	failed := &PreflightError{Command: command}
	if err := cmd.Start(); err != nil {
		failed.Reason, failed.Cause = CannotStart, err
		return nil, failed
	}
	// Until the process is reaped, its pid identifies the group and no other; afterwards its children are out of reach.
	for errors.Is(unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		continue
	}
	_ = proc.KillGroup(cmd.Process.Pid, syscall.SIGKILL)
	err := cmd.Wait()
	if failed.Output = string(stderr.kept); failed.Output == "" {
		failed.Output = string(stdout.kept)
	}
	exit, _ := errors.AsType[*exec.ExitError](err)
	switch {
	case ctx.Err() != nil:
		failed.Reason, failed.Cause = TimedOut, fmt.Errorf("within %s", p.Timeout)
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		if stdout.truncated {
			failed.Reason, failed.Output, failed.Cause = InvalidAnswer, "", fmt.Errorf("more than %d bytes", maxOutput)
			return nil, failed
		}
		return stdout.kept, nil
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

// outputTail keeps the last maxOutput bytes that are written to it.
type outputTail struct {
	kept      []byte
	truncated bool
}

func (t *outputTail) Write(p []byte) (int, error) {
	if t.kept = append(t.kept, p...); len(t.kept) > maxOutput {
		t.truncated = true
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-maxOutput:]...)
	}
	return len(p), nil
}
