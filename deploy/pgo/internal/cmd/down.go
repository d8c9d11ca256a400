package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/supervise"
)

func newDownCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop all processes and pgo itself",
		Args:  rejectArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return stopEverything(c.Context(), e)
		},
	}
}

// stopEverything stops all processes and pgo, in whichever state that is: the manager does it, else the keeper is asked by a
// signal, and what a killed keeper left behind is stopped by this command.
func stopEverything(ctx context.Context, e *env) error {
	h, client, err := e.connect(ctx)
	unreachable, isUnreachable := errors.AsType[*control.UnreachableError](err)
	switch {
	case errors.Is(err, control.ErrNotRunning):
		return stopLeftovers(e, h, "nothing runs")
	case isUnreachable:
		return endKeeper(ctx, e, h, unreachable)
	case err != nil:
		return err
	}
	k := keeperProcess{home: h, pid: client.Keeper()}
	f, err := newFollower(ctx, e, h, client)
	if err == nil {
		err = f.runCommand(ctx, "down", nil)
	}
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted: pgo continues to stop everything")
	case err != nil:
		return endKeeper(ctx, e, h, err)
	}
	hasEnded := k.awaitEnd(ctx, keeperEndTimeout)
	switch {
	case ctx.Err() != nil:
		return errInterruptedEnd
	case !hasEnded:
		return endKeeper(ctx, e, h, errors.New("everything is stopped, and the keeper does not end"))
	}
	fmt.Fprintln(e.stdout, allStopped)
	return nil
}

const allStopped = "everything is stopped"

// keeperEndTimeout is how long a keeper may take to end once all processes have ended.
const keeperEndTimeout = 30 * time.Second

// errInterruptedEnd is the error of a command that was interrupted while it waited for the end of the keeper.
var errInterruptedEnd = errors.New("interrupted: pgo is about to end")

// endKeeper asks the keeper by a signal to stop everything, since the manager cannot be asked, for the reason. A keeper that has
// not ended when all processes may have taken their stop timeouts is killed, and what it leaves behind is stopped.
func endKeeper(ctx context.Context, e *env, h home.Home, why error) error {
	pid := h.FindKeeper()
	if pid == 0 {
		if !h.IsLocked() {
			return stopLeftovers(e, h, allStopped) // it has just ended
		}
		return fmt.Errorf("%w; the process that holds the lock is not visible here: run pgo down where it runs", why)
	}
	timeout := keeperEndTimeout
	started, err := supervise.Leftovers(h)
	if err != nil {
		return err
	}
	for _, process := range started {
		timeout += process.Stop.Timeout
	}
	fmt.Fprintf(e.stdout, "%v\nasking pid %d by SIGTERM to stop everything\n", why, pid)
	if err := proc.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("ask pid %d to stop everything: %w", pid, err)
	}
	k := keeperProcess{home: h, pid: pid}
	isOver := k.awaitEnd(ctx, timeout)
	if ctx.Err() != nil {
		return errInterruptedEnd
	}
	if !isOver {
		fmt.Fprintf(e.stdout, "pid %d did not end within %s: it is killed\n", pid, timeout)
		if err := proc.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill pid %d: %w", pid, err)
		}
		k.killManager()
		if !k.awaitEnd(ctx, keeperEndTimeout) {
			return fmt.Errorf("pid %d was killed and does not end: the kernel holds it, as for a disk that does not answer", pid)
		}
	}
	return stopLeftovers(e, h, allStopped)
}

// keeperProcess is the keeper of a home.
type keeperProcess struct {
	home home.Home
	pid  int
}

// awaitEnd waits until the keeper is gone, for at most timeout. It reports whether it is.
func (k keeperProcess) awaitEnd(ctx context.Context, timeout time.Duration) bool {
	for end := time.Now().Add(timeout); k.home.IsLocked() || k.isAlive(); {
		if time.Now().After(end) {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return true
}

// isAlive reports whether the process runs. In another container its PID is another process's here.
func (k keeperProcess) isAlive() bool {
	s, err := proc.ReadStat(k.pid)
	return err == nil && !s.Zombie && home.IsKeeper(k.pid)
}

// killManager kills the managers of the home: a hung manager does not notice that its keeper is gone.
func (k keeperProcess) killManager() {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is valid
	for _, file := range files {
		text, err := os.ReadFile(file)
		args := strings.Split(string(text), "\x00")
		if err != nil || len(args) < 3 || args[1] != managerCommand || args[2] != string(k.home) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			_ = proc.Kill(pid, syscall.SIGKILL) // a manager that has ended is as good
		}
	}
}

// stopLeftovers stops the processes that a killed pgo left behind, and prints nothing where none is. It returns home.ErrLocked
// while a keeper starts or ends.
func stopLeftovers(e *env, h home.Home, nothing string) error {
	lock, err := h.Lock()
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.EROFS) { // pgo never ran here
		fmt.Fprintln(e.stdout, nothing)
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	left, err := supervise.Leftovers(h)
	if err != nil {
		return err
	}
	if len(left) == 0 {
		fmt.Fprintln(e.stdout, nothing)
		return nil
	}
	supervise.StopLeftovers(h, left, func(l supervise.Leftover) {
		fmt.Fprintf(e.stdout, "%-12s %-11s left behind by a pgo that was killed\n", l.Name, control.Stopped)
	})
	h.RemoveManager()
	fmt.Fprintln(e.stdout, allStopped)
	return nil
}
