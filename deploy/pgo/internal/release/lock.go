package release

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A writer of a process's releases holds its lock, for as long as it takes to rename a few files. The kernel releases the lock
// when its holder dies. Reading needs no lock: see readSnapshot.

const (
	minLockWait = time.Millisecond
	maxLockWait = 50 * time.Millisecond
)

// lockDir locks a directory, which it creates if needed. It waits for the lock until ctx ends.
func lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create a directory of releases: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the releases: %w", err)
	}
	for wait := minLockWait; ; wait = min(2*wait, maxLockWait) {
		err := tryLock(f)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock the releases: %w", err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("lock the releases in %s, which another process holds: %w", dir, ctx.Err())
		case <-time.After(wait):
		}
	}
}

// tryLock locks a file. It returns EWOULDBLOCK if another holds the lock.
func tryLock(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
