package localserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Process is a server started by Start. The kernel kills it when the process that started it ends, however that
// ends.
type Process struct {
	pid  int
	log  string
	done chan struct{}
	err  error // how it ended; to be read once done is closed
}

// Start runs c with its output appended to the file log. The server is in a session of its own: a Ctrl-C meant for
// the starter does not reach it.
func Start(c Command, log string) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the server's log: %w", err)
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.Env, c.Dir, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}

	p := &Process{log: log, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The death signal is sent when the thread that forked ends, so that thread is kept until the server is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		out.Close()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	return p, nil
}

var errExitZero = errors.New("exit code 0")

// PID is the server's process id.
func (p *Process) PID() int { return p.pid }

// Done is closed when the server has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// WaitReady asks until the instance is ready. It fails when the server or ctx ends first, with the end of its log.
func (p *Process) WaitReady(ctx context.Context, i Instance) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		last := i.Ready(ctx)
		if last == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("the server ended: %w; its log ends: %s", cmp.Or(p.err, errExitZero), p.logTail())
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w; last answer: %w; its log ends: %s", context.Cause(ctx), last, p.logTail())
		case <-tick.C:
		}
	}
}

// Kill ends the server and what it started at once, and waits for its end.
func (p *Process) Kill() { p.Stop(syscall.SIGKILL, 0) }

// Stop sends the signal and waits; after the timeout it kills the server and what it started.
func (p *Process) Stop(sig syscall.Signal, timeout time.Duration) {
	select {
	case <-p.done:
		return
	default:
	}
	helpers := findDescendants(p.pid)
	defer waitGone(helpers)
	if sig != syscall.SIGKILL {
		_ = syscall.Kill(p.pid, sig)
		select {
		case <-p.done:
			return
		case <-time.After(timeout):
		}
	}
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	<-p.done
}

// findDescendants lists the processes that pid started and those that they started. RabbitMQ's are in sessions of their
// own: they end by themselves when they notice that the broker is gone.
func findDescendants(pid int) []int {
	parents := map[int]int{}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	for _, dir := range dirs {
		child, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if stat, err := os.ReadFile(filepath.Join(dir, "stat")); err == nil {
			// pid (name) state ppid ...; a name may have brackets and spaces.
			fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
			if len(fields) > 1 {
				parents[child], _ = strconv.Atoi(fields[1])
			}
		}
	}
	var found []int
	for child := range parents {
		for up := parents[child]; up > 1; up = parents[up] {
			if up == pid {
				found = append(found, child)
				break
			}
		}
	}
	return found
}

// waitGone waits a moment for processes that are ending.
func waitGone(pids []int) {
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		alive := false
		for _, pid := range pids {
			alive = alive || syscall.Kill(pid, 0) == nil
		}
		if !alive {
			return
		}
	}
}

func (p *Process) logTail() string {
	out, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return outputTail(out)
}
