package logfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// openInherited opens a log as a process inherits it.
func openInherited(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// TestOwnLogConcurrent has two writers of one log, which is rotated meanwhile: each line is kept once.
func TestOwnLogConcurrent(t *testing.T) {
	const lines = 2000
	path := filepath.Join(t.TempDir(), "pgo.log")
	first := openInherited(t, path)
	second, err := unix.FcntlInt(uintptr(first), unix.F_DUPFD_CLOEXEC, 0) // the very same open file
	if err != nil {
		t.Fatal(err)
	}
	other := openInherited(t, path)
	var all []*OwnLog
	for _, fds := range [][]int{{first, second}, {other}} {
		o, ours := NewOwnLog(path, Policy{MaxSize: 32 << 10, Keep: 100, Compress: true}, fds...)
		if !ours {
			t.Fatal("not its log")
		}
		all = append(all, o)
	}
	var writers sync.WaitGroup
	for n, o := range all {
		writers.Go(func() {
			defer o.Close()
			for i := range lines {
				if _, err := fmt.Fprintf(o, "writer %d line %05d of those that are about as long as this one\n", n, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	all[0].Reopen()
	if _, err := unix.Write(second, []byte("a panic\n")); err != nil { // stderr has followed
		t.Fatal(err)
	}
	seen := map[string]int{}
	count := func(line []byte) error { seen[strings.TrimSuffix(string(line), "\n")]++; return nil }
	rotated := ListRotated(path)
	for _, old := range rotated {
		if err := old.ReadLines(count); err != nil {
			t.Fatal(err)
		}
	}
	now, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(now)) {
		_ = count([]byte(line))
	}
	if len(seen) != 2*lines+1 || seen["a panic"] != 1 {
		t.Errorf("%d different lines", len(seen))
	}
	for line, n := range seen {
		if n != 1 {
			t.Errorf("%d times %s", n, line)
		}
	}
	if len(rotated) < 3 || len(now) > 40<<10 {
		t.Errorf("%d rotated, %d bytes now", len(rotated), len(now))
	}
}

func TestOwnLogOfOtherFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pgo.log")
	openInherited(t, path)
	if _, ours := NewOwnLog(path, Policy{}, openInherited(t, os.DevNull)); ours {
		t.Error("a terminal was taken for the log")
	}
	if _, ours := NewOwnLog(path+".none", Policy{}, openInherited(t, path)); ours {
		t.Error("another file was taken for the log")
	}
}

// TestOwnLogRecovers checks that a log that was moved or removed is re-created; a directory that takes no new file loses no line.
func TestOwnLogRecovers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pgo.log")
	o, ours := NewOwnLog(path, Policy{MaxSize: 1000, Keep: 1}, openInherited(t, path))
	if !ours {
		t.Fatal("not its log")
	}
	say := func(text string) {
		t.Helper()
		if _, err := fmt.Fprintln(o, text); err != nil {
			t.Fatal(err)
		}
	}
	say("one")
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	say("two")
	if text, err := os.ReadFile(path); err != nil || string(text) != "two\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.WriteFile(filepath.Join(dir, rotatedDir), nil, 0o600); err != nil { // in the way of the rotated
		t.Fatal(err)
	}
	say(strings.Repeat("x", 2000))
	say("three")
	if text, err := os.ReadFile(path); err != nil || !strings.HasSuffix(string(text), "x\nthree\n") {
		t.Errorf("%q, %v", text, err)
	}
}
