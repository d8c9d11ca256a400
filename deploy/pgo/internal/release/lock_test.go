package release

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// runUnprivileged runs f with another user's rights to files, even if the tests run as root: rights to files belong to a
// thread, which ends with its goroutine here.
func runUnprivileged(t *testing.T, f func()) {
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Setfsuid(65534); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

func TestUnwritableDir(t *testing.T) {
	s := newStoreFixture(t)
	s.runSteps("add a, live a, good a, add b, live b")
	source := writeScript(t, filepath.Join(t.TempDir(), "user"), "echo c")
	for dir := filepath.Dir(source); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for dir := filepath.Join(s.Store.Dir, "user"); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(s.Store.Dir, "user")
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o755)
	before := s.listFiles()
	runUnprivileged(t, func() {
		if _, err := s.Store.Add(t.Context(), "user", source); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), dir) {
			t.Errorf("add: %v", err)
		}
		if err := s.Store.SetCurrent(t.Context(), "user", s.sums["a"]); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("live: %v", err)
		}
		if _, err := s.Store.Add(t.Context(), "school", source); os.Geteuid() == 0 && !errors.Is(err, fs.ErrPermission) {
			t.Errorf("a new process: %v", err)
		}
	})
	if after := s.listFiles(); !slices.Equal(before, after) || s.currentLetter() != "b" {
		t.Errorf("%v became %v, live %s", before, after, s.currentLetter())
	}
	inTheWay := &Store{Dir: writeFile(t, filepath.Join(t.TempDir(), "releases"), nil, 0o644, testTime)}
	if _, err := inTheWay.Add(t.Context(), "user", source); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a file in place of the directory: %v", err)
	}
}

func TestLockWaits(t *testing.T) {
	s := newStoreFixture(t)
	s.runSteps("add a")
	unlock, err := lockDir(t.Context(), filepath.Join(s.Store.Dir, "user"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Store.SetCurrent(ctx, "user", s.sums["a"]); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while another has it: %v", err)
	}
	if got := s.storedLetters(); got != "a" { // reading does not wait
		t.Errorf("got %s", got)
	}
	done := make(chan error)
	go func() { done <- s.Store.SetCurrent(t.Context(), "user", s.sums["a"]) }()
	unlock()
	if err := <-done; err != nil || s.currentLetter() != "a" {
		t.Errorf("when it is free: %v", err)
	}
}
