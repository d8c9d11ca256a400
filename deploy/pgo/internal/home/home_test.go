package home

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLock(t *testing.T) {
	h := Home(t.TempDir())
	if err := h.CreateDirs(); err != nil {
		t.Fatal(err)
	}
	lock, err := h.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Lock(); !errors.Is(err, ErrLocked) {
		t.Errorf("locked twice: %v", err)
	}
	lock.Close()
	again, err := h.Lock()
	if err != nil {
		t.Errorf("after the lock was let go: %v", err)
	}
	again.Close()
}

func TestSocketDir(t *testing.T) {
	runtime := t.TempDir()
	env := map[string]string{"XDG_RUNTIME_DIR": runtime}
	getenv := func(key string) string { return env[key] }
	h := Home("/some/where")
	dir, err := h.SocketDir(getenv)
	if err != nil || filepath.Dir(dir) != runtime {
		t.Fatalf("%s, %v", dir, err)
	}
	if other, _ := Home("/else/where").SocketDir(getenv); other == dir {
		t.Error("two homes share a directory")
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := h.SocketDir(getenv); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory stays open to others: %v, %v", info.Mode(), err)
	}

	// A link in the directory's place is not followed.
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := h.SocketDir(getenv); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("a link: %v", err)
	}

	// If the runtime directory's path is too long for a socket or missing, the temporary directory is used.
	for _, runtime := range []string{runtime + "/" + strings.Repeat("x", 100), "/nonexistent"} {
		env["XDG_RUNTIME_DIR"] = runtime
		dir, err := h.SocketDir(getenv)
		if err != nil || !strings.HasPrefix(dir, os.TempDir()) || !fitsSocketPath(dir) {
			t.Errorf("%s: %s, %v", runtime, dir, err)
		}
		os.Remove(dir)
	}
}

func TestEndsWithLogin(t *testing.T) {
	for dir, want := range map[string]bool{"/run/user/1000": true, "/run/user/0/": true, "/run//user/1000/x": true, "/run/pgo": false, "/tmp": false} {
		if got := endsWithLogin(dir); got != want {
			t.Errorf("%s: %t", dir, got)
		}
	}
}

// TestSocketDirOfAnotherUser checks that a directory of another user is not used. Only root can set that up.
func TestSocketDirOfAnotherUser(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	} else {
		dir = "/" // is root's
	}
	if err := CreatePrivateDir(dir); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("got %v", err)
	}
}
