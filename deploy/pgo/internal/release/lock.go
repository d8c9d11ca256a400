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

// Who changes a process's releases holds its lock, for as long as it takes to rename a few files. The kernel gives it
// back when its holder dies. Reading needs no lock: see snapshot.

const (
	minLockWait = time.Millisecond
	maxLockWait = 50 * time.Millisecond
)

// lockDir waits for the lock of a folder, which it makes if need be, until ctx ends.
func lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a folder of releases: %w", err)
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
			return nil, fmt.Errorf("lock the releases in %s, which another has: %w", dir, ctx.Err())
		case <-time.After(wait):
		}
	}
}

// tryLock takes a file's lock; EWOULDBLOCK where another has it.
func tryLock(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
