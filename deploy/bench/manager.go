package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// manager is a process manager that is measured. It may be brought up and down several times.
type manager interface {
	// up starts the manager with these apps and returns when they are ready.
	up(ctx context.Context, apps ...app) error
	// down stops the manager and all that it has started, also what it does not know of any more.
	down() error
	// command is one of the manager's commands as a person gives it: list, reload NAME.
	command(ctx context.Context, args ...string) *exec.Cmd
	// measureItself has a manager that is up say its metrics, and returns where.
	measureItself(ctx context.Context) (url string, err error)
	// pids are the manager's own processes; the last of them is the one that is killed.
	pids() ([]int, error)
	// logs returns all files with an app's output, rotated ones included.
	logs(name string) ([]string, error)
	// knows tells whether the manager answers and says that the app runs.
	knows(ctx context.Context, name string) bool
}

// started is the environment of what a manager starts, without what this program inherited from a manager of its own.
func environment(more ...string) []string {
	var env []string
	for _, kv := range os.Environ() {
		switch key, _, _ := strings.Cut(kv, "="); key {
		case "NOTIFY_SOCKET", "NODE_CHANNEL_FD", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "PGO_HOME", "PM2_HOME":
		default:
			env = append(env, kv)
		}
	}
	return append(env, more...)
}

// runQuietly runs a command; its output is part of the error.
func runQuietly(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

// killMarked ends what has the mark in its environment, and says how many.
func killMarked(mark string) (int, error) {
	ended := map[int]bool{}
	err := await(10*time.Second, "what was started ends", func() error {
		files, err := filepath.Glob("/proc/[0-9]*/environ")
		if err != nil {
			return err
		}
		left := 0
		for _, file := range files {
			env, err := os.ReadFile(file)
			if err != nil || !strings.Contains(string(env), mark+"\x00") {
				continue
			}
			if pid, err := strconv.Atoi(strings.Split(file, "/")[2]); err == nil && pid != os.Getpid() {
				left++
				ended[pid] = true
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by now
			}
		}
		if left > 0 {
			return fmt.Errorf("%d are left", left)
		}
		return nil
	})
	return len(ended), err
}

// await asks until there is no error.
func await(atMost time.Duration, what string, ask func() error) error {
	for end := time.Now().Add(atMost); ; time.Sleep(5 * time.Millisecond) {
		err := ask()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}
