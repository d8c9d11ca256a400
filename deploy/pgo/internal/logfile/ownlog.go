package logfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// OwnLog is a log that processes write themselves: it is their stdout and stderr, open for appending. Several processes may
// write it at the same time; any of them rotates it when it is too large, and the others switch at their next write.
type OwnLog struct {
	path   string
	policy Policy
	fds    []int // descriptors that refer to it

	mu         sync.Mutex
	background sync.WaitGroup
}

// NewOwnLog returns the log at path, to which the given descriptors refer. It returns false if the first one refers to another
// file, such as a terminal: then nothing may be rotated.
func NewOwnLog(path string, p Policy, fds ...int) (*OwnLog, bool) {
	var here, there unix.Stat_t
	if unix.Fstat(fds[0], &here) != nil || unix.Stat(path, &there) != nil || !isSameFile(here, there) {
		return nil, false
	}
	return &OwnLog{path: path, policy: p, fds: fds}, true
}

func isSameFile(a, b unix.Stat_t) bool { return a.Ino == b.Ino && a.Dev == b.Dev }

// Write appends a line to the file that is at the path now.
func (o *OwnLog) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.attachCurrent()()
	written := 0
	for written < len(line) {
		n, err := unix.Write(o.fds[0], line[written:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return written, fmt.Errorf("write pgo's own log: %w", err)
		}
		written += n
	}
	return written, nil
}

// Reopen makes the descriptors refer to the file that is at the path now, as Write does. It serves processes that rarely
// write, but may end with output that does not go through Write.
func (o *OwnLog) Reopen() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.attachCurrent()()
}

// Close waits for background work.
func (o *OwnLog) Close() { o.background.Wait() }

// attachCurrent makes the descriptors refer to the file at the path, or to a new one if that is too large, and keeps others
// from rotating it until release is called: output to a file that is being compressed is lost. If it fails, the descriptors
// stay as they are, so that the lines are kept somewhere.
func (o *OwnLog) attachCurrent() (release func()) {
	for {
		// A new open file: processes that share one would all hold its lock.
		f, err := os.OpenFile(o.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return func() {}
		}
		_ = unix.Flock(int(f.Fd()), unix.LOCK_SH) // where there are no locks, without
		here, there := o.isCurrent(f)
		if there && (here.Size < o.policy.MaxSize || !o.rotateAway(f)) {
			o.redirectFDs(f, here)
			return func() {
				_ = unix.Flock(int(f.Fd()), unix.LOCK_UN) // the descriptors may share the open file, which stays
				f.Close()
			}
		}
		f.Close()
	}
}

// isCurrent reports whether the file is still the one at the path.
func (o *OwnLog) isCurrent(f *os.File) (here unix.Stat_t, there bool) {
	var at unix.Stat_t
	there = unix.Fstat(int(f.Fd()), &here) == nil && unix.Stat(o.path, &at) == nil && isSameFile(here, at)
	return here, there
}

// redirectFDs makes all descriptors refer to f.
func (o *OwnLog) redirectFDs(f *os.File, here unix.Stat_t) {
	var now unix.Stat_t
	if unix.Fstat(o.fds[0], &now) != nil || isSameFile(here, now) {
		return
	}
	for _, fd := range o.fds {
		_ = unix.Dup3(int(f.Fd()), fd, 0) // cannot fail: both are open
	}
}

// rotateAway moves the file at the path away, unless another process has replaced it already. Afterwards no one writes to f.
// While another process writes, the rotation is postponed: the next line triggers it again, and a stopped process blocks no one.
func (o *OwnLog) rotateAway(f *os.File) bool {
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		_ = unix.Flock(int(f.Fd()), unix.LOCK_SH) // which the attempt has released
		_, there := o.isCurrent(f)
		return !there
	}
	if _, there := o.isCurrent(f); !there {
		return true // another process was faster
	}
	dir := filepath.Join(filepath.Dir(o.path), rotatedDir)
	to := filepath.Join(dir, strings.TrimSuffix(filepath.Base(o.path), ".log")+"."+time.Now().UTC().Format(rotatedTimeFormat)+".log")
	if os.MkdirAll(dir, 0o700) != nil || os.Rename(o.path, to) != nil {
		return false // better a growing file than a lost line
	}
	o.background.Go(func() { pruneRotated(o.path, o.policy) })
	return true
}
