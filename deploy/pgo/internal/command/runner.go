package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/shim"
)

// ErrClosed is the error of a run that Close has ended or prevented.
var ErrClosed = errors.New("pgo is ending")

// Runner runs programs beside processes, and ends them. Its zero value is ready to use. Its methods may be called concurrently.
type Runner struct {
	mu       sync.Mutex // guards closed, and active while it may be waited for
	closed   bool
	lifetime context.Context
	end      context.CancelCauseFunc
	active   sync.WaitGroup
}

// Run runs a program in a process group of its own until it ends. Then it kills what the program has left in that group. When
// ctx ends it kills the whole group, and returns the cause. It returns an *exec.ExitError if the program failed, and a
// *shim.Failure if it could not be executed. A nil writer discards the output.
func (r *Runner) Run(ctx context.Context, run Run, stdout, stderr io.Writer) error {
	ctx, leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	report, reporter, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("run %s: %w", run.Program, err)
	}
	defer report.Close()
	const reportFD = 3 // the first of ExtraFiles
	cmd, err := run.build(ctx, reportFD, syscall.SIGKILL)
	if err != nil {
		reporter.Close()
		return err
	}
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = stdout, stderr, []*os.File{reporter}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	g := &group{}
	cmd.Cancel = func() error { return g.kill(cmd.Process.Pid) }
	err = cmd.Start()
	reporter.Close()
	if err != nil {
		return fmt.Errorf("run %s: %w", run.Program, err)
	}
	failure := readFailure(report)
	awaitExit(cmd.Process.Pid)
	g.end(cmd.Process.Pid)
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case failure != nil:
		return fmt.Errorf("run %s: %w", run.Program, failure)
	case errors.Is(err, exec.ErrWaitDelay): // something outside of the group holds its output open
		return nil
	}
	return err
}

// Close ends all runs, and returns when nothing is left of their groups. Later runs fail with ErrClosed.
func (r *Runner) Close() {
	r.mu.Lock()
	r.closed = true
	if r.end != nil {
		r.end(ErrClosed)
	}
	r.mu.Unlock()
	r.active.Wait()
}

// enter counts a run. It returns a context that ends with ctx or the runner, and the function that ends the count.
func (r *Runner) enter(ctx context.Context) (context.Context, func(), error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, nil, ErrClosed
	}
	if r.end == nil {
		r.lifetime, r.end = context.WithCancelCause(context.Background())
	}
	r.active.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(r.lifetime, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
		r.active.Done()
	}, nil
}

// group is the process group of a run. Its number is the leader's, which is not used again before the leader is reaped.
type group struct {
	mu       sync.Mutex
	hasEnded bool // the leader has ended, and the rest was killed: it may be reaped
}

// kill kills the group, unless it has ended.
func (g *group) kill(leader int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hasEnded {
		return os.ErrProcessDone
	}
	return proc.KillGroup(leader, syscall.SIGKILL)
}

// end kills what the leader has left behind. The leader has ended and is not reaped yet.
func (g *group) end(leader int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hasEnded = true
	_ = proc.KillGroup(leader, syscall.SIGKILL) // an empty group is as good
}

// awaitExit waits until a child has ended, and does not reap it.
func awaitExit(pid int) {
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		continue
	}
}

// readFailure reads the report of a shim. It returns nil when the program was executed.
func readFailure(report io.Reader) error {
	text, err := io.ReadAll(report)
	if err != nil || len(text) == 0 {
		return nil
	}
	var failure shim.Failure
	if json.Unmarshal(text, &failure) != nil {
		return nil // a part of it: its exit code has to do
	}
	return &failure
}
