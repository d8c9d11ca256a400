package manager

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/proc"
	"pgo/deploy/pgo/shim"
)

// command is all that a child is started with.
type command struct {
	program string // a path
	args    []string
	env     []string
	dir     string
	output  *os.File
	inherit []int // descriptors, from 3 on
}

// child is a process that runs: the leader of its own session, with whatever it starts in there.
type child struct {
	pid    int
	exited chan struct{} // closed when the main process has ended; it is a zombie until reap, so that its pid is its own
	report *os.File
}

// fork starts a child; running tells whether it became the program.
func fork(c command) (*child, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	defer null.Close()
	report, reporter, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	defer reporter.Close()
	files := []uintptr{null.Fd(), c.output.Fd(), c.output.Fd()}
	for _, fd := range c.inherit {
		files = append(files, uintptr(fd))
	}
	files = append(files, reporter.Fd())
	argv := append([]string{"pgo"}, shim.Args(len(files)-1, c.program, append([]string{c.program}, c.args...))...)
	// /proc/self/exe is this very program, also when its file was replaced.
	pid, err := syscall.ForkExec("/proc/self/exe", argv, &syscall.ProcAttr{
		Dir: c.dir, Env: c.env, Files: files, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		report.Close()
		return nil, fmt.Errorf("start: %w", err)
	}
	k := &child{pid: pid, exited: make(chan struct{}), report: report}
	go k.watch()
	return k, nil
}

func (k *child) watch() {
	for {
		// WNOWAIT leaves the zombie: while it is there its number names nobody else.
		err := unix.Waitid(unix.P_PID, k.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			close(k.exited)
			return
		}
	}
}

// running waits until the child has become its program; the error is why it could not.
func (k *child) running() error {
	defer k.report.Close()
	text, err := io.ReadAll(k.report)
	if err != nil || len(text) == 0 {
		return nil // what became of it shows in how it ends
	}
	number, err := strconv.Atoi(string(text))
	if err != nil {
		return fmt.Errorf("start: %s", text)
	}
	return syscall.Errno(number)
}

// end asks the main process to end, gives it and what it has started until timeout, and kills what is left.
func (k *child) end(signal syscall.Signal, timeout time.Duration) ended {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	_ = unix.Kill(k.pid, signal)
	forced := false
	select {
	case <-k.exited:
		k.awaitOthers(deadline.C)
	case <-deadline.C:
		forced = true
	}
	e := k.reap()
	e.forced = forced
	return e
}

// awaitOthers gives those that the main process left behind their time to end as well.
func (k *child) awaitOthers(deadline <-chan time.Time) {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for len(proc.Sessions(k.pid)[k.pid]) > 0 {
		select {
		case <-deadline:
			return
		case <-poll.C:
		}
	}
}

// reap kills whatever is left of the child, takes its exit status and lets go of its pid.
func (k *child) reap() ended {
	_ = unix.Kill(-k.pid, unix.SIGKILL)
	_ = unix.Kill(k.pid, unix.SIGKILL)
	<-k.exited
	killSession(k.pid, 0)
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(k.pid, &status, 0, nil); !errors.Is(err, syscall.EINTR) {
			return ended{status: status}
		}
	}
}

// killSession kills the members of a session that started at since or later, until none is left. One that the kernel
// holds in an uninterruptible sleep is given up after a while.
func killSession(leader int, since uint64) {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		left := 0
		for _, s := range proc.Sessions(leader)[leader] {
			if s.Start < since {
				continue
			}
			left++
			_ = s.Signal(syscall.SIGKILL) // gone already is as good
		}
		if left == 0 {
			return
		}
	}
}

// ended is how a process ended.
type ended struct {
	status syscall.WaitStatus
	forced bool // it was killed since it did not end in time
}

func (e ended) String() string {
	switch {
	case e.forced:
		return "did not end in time and was killed"
	case e.status.Signaled():
		return "killed by " + unix.SignalName(e.status.Signal())
	default:
		return "exit code " + strconv.Itoa(e.status.ExitStatus())
	}
}

// find returns the path of a command: a bare name is looked up in the PATH that the process will have. The error is
// one that does not pass by itself.
func find(name string, env map[string]string) (string, error) {
	if strings.Contains(name, "/") {
		return name, executable(name)
	}
	for _, dir := range filepath.SplitList(env["PATH"]) {
		if path := filepath.Join(dir, name); filepath.IsAbs(path) && executable(path) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("command %s: not found in PATH", name)
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("command %s: no such file", path)
	case err != nil:
		return fmt.Errorf("command: %w", err)
	case info.IsDir() || unix.Access(path, unix.X_OK) != nil:
		return fmt.Errorf("command %s: not an executable file", path)
	}
	return nil
}
