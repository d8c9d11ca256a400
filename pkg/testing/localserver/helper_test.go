package localserver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func (s *Scratch) pids() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []int
	for _, p := range s.processes {
		out = append(out, p.PID())
	}
	return out
}

// runningIn lists the command lines of live processes that name dir in them or in their environment.
func runningIn(dir string) []string {
	var out []string
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		if strings.Contains(f, "/self/") {
			continue
		}
		proc := filepath.Dir(f)
		environ, _ := os.ReadFile(f)
		cmdline, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
		if strings.Contains(string(environ)+string(cmdline), dir) {
			out = append(out, filepath.Base(proc)+" "+strings.ReplaceAll(string(cmdline), "\x00", " "))
		}
	}
	return out
}

// shortDir is a temporary directory whose path leaves room for a socket's name; t.TempDir has the test's name in it.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pgo-t-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func somePorts(t *testing.T, n int) []int {
	t.Helper()
	ports, err := FindFreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within 30s")
		}
	}
}
