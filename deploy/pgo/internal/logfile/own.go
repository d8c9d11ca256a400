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

// OwnLog is a log that processes write themselves: their stdout and stderr are it, open to append. Several may at the same
// time; whoever finds it too large moves it away, and the others follow when they have something to say.
type OwnLog struct {
	path   string
	policy Policy
	fds    []int // that lead to it

	mu         sync.Mutex
	background sync.WaitGroup
}

// NewOwnLog returns the log at path, to which these descriptors lead. It tells whether they do: where the first leads
// somewhere else, as to a terminal, nothing may be moved.
func NewOwnLog(path string, p Policy, fds ...int) (*OwnLog, bool) {
	var here, there unix.Stat_t
	if unix.Fstat(fds[0], &here) != nil || unix.Stat(path, &there) != nil || !isSameFile(here, there) {
		return nil, false
	}
	return &OwnLog{path: path, policy: p, fds: fds}, true
}

func isSameFile(a, b unix.Stat_t) bool { return a.Ino == b.Ino && a.Dev == b.Dev }

// Write appends a line, to the file that is at the path now.
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

// Reopen has the descriptors lead to the file that is at the path now, as a write does: for who seldom has something to
// say, but may end with words that do not come through Write.
func (o *OwnLog) Reopen() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.attachCurrent()()
}

// Close waits for what goes on in the background.
func (o *OwnLog) Close() { o.background.Wait() }

// attachCurrent has the descriptors lead to the file at the path, a new one where that is too large, and keeps others from
// moving it away until it is released: what is written to a file that is being compressed is lost. Where it cannot, the
// descriptors stay: the lines are somewhere then.
func (o *OwnLog) attachCurrent() (release func()) {
	for {
		// Opened anew: processes that have inherited one open file would all have its lock.
		f, err := os.OpenFile(o.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return func() {}
		}
		_ = unix.Flock(int(f.Fd()), unix.LOCK_SH) // where there are no locks, without
		here, there := o.isCurrent(f)
		if there && (here.Size < o.policy.MaxSize || !o.rotateAway(f)) {
			o.redirectFDs(f, here)
			return func() {
				_ = unix.Flock(int(f.Fd()), unix.LOCK_UN) // the descriptors may be the same open file, which stays
				f.Close()
			}
		}
		f.Close()
	}
}

// isCurrent tells whether the file is still the one at the path.
func (o *OwnLog) isCurrent(f *os.File) (here unix.Stat_t, there bool) {
	var at unix.Stat_t
	there = unix.Fstat(int(f.Fd()), &here) == nil && unix.Stat(o.path, &at) == nil && isSameFile(here, at)
	return here, there
}

// redirectFDs has all descriptors lead to f.
func (o *OwnLog) redirectFDs(f *os.File, here unix.Stat_t) {
	var now unix.Stat_t
	if unix.Fstat(o.fds[0], &now) != nil || isSameFile(here, now) {
		return
	}
	for _, fd := range o.fds {
		_ = unix.Dup3(int(f.Fd()), fd, 0) // of an open file onto an open file
	}
}

// rotateAway has the path be free, or another file that somebody else has made. Nobody writes to f any more then. While
// another writes it is put off: the next line finds the file too large as well, and one that is stopped stops nobody.
func (o *OwnLog) rotateAway(f *os.File) bool {
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		_ = unix.Flock(int(f.Fd()), unix.LOCK_SH) // which the attempt has given up
		_, there := o.isCurrent(f)
		return !there
	}
	if _, there := o.isCurrent(f); !there {
		return true // somebody was faster
	}
	dir := filepath.Join(filepath.Dir(o.path), rotatedDir)
	to := filepath.Join(dir, strings.TrimSuffix(filepath.Base(o.path), ".log")+"."+time.Now().UTC().Format(rotatedTimeFormat)+".log")
	if os.MkdirAll(dir, 0o700) != nil || os.Rename(o.path, to) != nil {
		return false // it goes on growing: better than to lose it
	}
	o.background.Go(func() { pruneRotated(o.path, o.policy) })
	return true
}
