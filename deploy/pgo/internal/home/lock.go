package home

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// ErrLocked is returned when a manager already runs on the home.
var ErrLocked = errors.New("a manager already runs on this home")

// observeTimeout is longer than IsLocked holds the lock.
const observeTimeout = 100 * time.Millisecond

func (h Home) lockPath() string { return h.statePath("manager.lock") }

// Lock locks the home for this process until the file is closed or the process ends. It returns ErrLocked while another
// process holds the lock.
func (h Home) Lock() (*os.File, error) {
	f, err := os.OpenFile(h.lockPath(), os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, syscall.EROFS) {
		f, err = os.Open(h.lockPath())
	}
	if err != nil {
		return nil, fmt.Errorf("lock pgo's home: %w", err)
	}
	for end := time.Now().Add(observeTimeout); ; time.Sleep(5 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, syscall.EINTR), errors.Is(err, syscall.EWOULDBLOCK) && time.Now().Before(end):
			continue
		}
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock pgo's home: %w", err)
	}
}

// IsLocked reports whether another process holds the lock. It writes nothing. Where the file cannot be opened, none does.
func (h Home) IsLocked() bool {
	f, err := os.Open(h.lockPath())
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// FindKeeper returns the PID of the keeper that holds the lock, and 0 where none is found: /proc shows only processes of this
// container, and files only of this user.
func (h Home) FindKeeper() int {
	lock, err := os.Stat(h.lockPath())
	if err != nil || !h.IsLocked() {
		return 0
	}
	m, _ := h.ReadManager() // its PID is only believed if that process has the lock open
	found := 0
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is valid
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() || !hasOpen(dir, lock) {
			continue
		}
		if pid == m.PID {
			return pid
		}
		if IsKeeper(pid) {
			found = pid
		}
	}
	return found
}

// IsKeeper reports whether a process has the arguments of a keeper, and not of a command that has the lock for a moment.
func IsKeeper(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && slices.ContainsFunc(bytes.Split(text, []byte{0}), func(arg []byte) bool {
		return string(arg) == "keeper" || string(arg) == "--foreground"
	})
}

// hasOpen reports whether the process with this directory in /proc has the file open.
func hasOpen(dir string, file os.FileInfo) bool {
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(fds, func(fd os.DirEntry) bool {
		info, err := os.Stat(filepath.Join(dir, "fd", fd.Name()))
		return err == nil && os.SameFile(info, file)
	})
}
