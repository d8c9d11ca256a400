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

// Preflight asks a program, before it is given any work, what it is and whether it can work here: as `version --json`
// and `check`, which every service of pgo answers without any server.
type Preflight struct {
	Dir     string              // where it runs
	Env     []string            // all that it gets: KEY=value
	Timeout time.Duration       // of each question; 10 s where it is 0
	User    *syscall.Credential // who runs it; nil: as this process
}

const (
	defaultTimeout = 10 * time.Second
	maxOutput      = 64 << 10 // bytes of what it says that are kept
	maxBusyWait    = 2 * time.Second
)

// ProgramInfo is what a program says about itself. What it leaves out is empty.
type ProgramInfo struct {
	Version       string `json:"version"`
	Commit        string `json:"commit"`
	SchemaVersion int64  `json:"schema_version"`
}

// Reason is why a preflight failed. It is an error, as Kind is.
type Reason string

// The reasons.
const (
	CannotStart   Reason = "cannot be started"
	TimedOut      Reason = "did not answer in time"
	Exited        Reason = "failed"
	InvalidAnswer Reason = "answered something else"
)

// Error makes a Reason an error.
func (r Reason) Error() string { return string(r) }

// PreflightError is the error for a program that did not pass.
type PreflightError struct {
	Command  string // "version --json" or "check"
	Reason   Reason
	ExitCode int    // its exit code, where it exited with one; 78 is a bad configuration
	Output   string // the end of what it said
	Cause    error
}

// Error is one line with what the program said last.
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

// Run asks both. The error is a *PreflightError, unless ctx ended.
func (p Preflight) Run(ctx context.Context, program string) (ProgramInfo, error) {
	answer, err := p.QueryVersion(ctx, program)
	if err != nil {
		return ProgramInfo{}, err
	}
	return answer, p.CheckConfig(ctx, program)
}

// QueryVersion asks what it is.
func (p Preflight) QueryVersion(ctx context.Context, program string) (ProgramInfo, error) {
	const question = "version --json"
	said, err := p.queryOutput(ctx, program, question)
	if err != nil {
		return ProgramInfo{}, err
	}
	var answer ProgramInfo
	if err := json.Unmarshal(said, &answer); err != nil {
		return ProgramInfo{}, &PreflightError{Command: question, Reason: InvalidAnswer, Output: string(said), Cause: err}
	}
	return answer, nil
}

// CheckConfig asks whether its configuration is valid.
func (p Preflight) CheckConfig(ctx context.Context, program string) error {
	_, err := p.queryOutput(ctx, program, "check")
	return err
}

// queryOutput returns the program's standard output.
func (p Preflight) queryOutput(ctx context.Context, program, question string) ([]byte, error) {
	if p.Timeout == 0 {
		p.Timeout = defaultTimeout
	}
	limited, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	for start := time.Now(); ; {
		said, err := p.runOnce(limited, program, question)
		// Another goroutine may have started a process just while the file was open for writing: until that
		// process has become its own program, it holds the file open too.
		if !errors.Is(err, unix.ETXTBSY) || time.Since(start) > maxBusyWait {
			if ctx.Err() != nil {
				return nil, fmt.Errorf("ask `%s`: %w", question, ctx.Err())
			}
			return said, err
		}
		select {
		case <-limited.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (p Preflight) runOnce(ctx context.Context, program, question string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, strings.Fields(question)...)
	cmd.Dir, cmd.Env = p.Dir, slices.DeleteFunc(slices.Clone(p.Env), isServiceVariable)
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would be ours
	}
	stdout, stderr := &outputTail{}, &outputTail{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// All that it started goes with it, and none of it can keep us by holding its output open.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.User}
	cmd.Cancel = func() error { return proc.KillGroup(cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 200 * time.Millisecond
	failed := &PreflightError{Command: question}
	if err := cmd.Start(); err != nil {
		failed.Reason, failed.Cause = CannotStart, err
		return nil, failed
	}
	// Until it is waited for, its number names its group and no other; then what it left behind is out of reach.
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

// isServiceVariable reports whether a variable belongs to the service that the environment is of: a question that says that
// it is ready, or takes a listener, would be taken for it.
func isServiceVariable(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	switch name {
	case "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "WATCHDOG_USEC", "WATCHDOG_PID":
		return true
	}
	return false
}

// outputTail keeps the end of what is written to it.
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
