package localserver

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// maxSocketPath is what fits into sockaddr_un with its closing zero.
const maxSocketPath = 107

// SocketDir is the folder for the Unix sockets of the home: short however deep home is, the same at every call, and
// another one for every home. It does not make the folder.
func SocketDir(home string) string {
	name := "pgo-" + Fingerprint(home)
	if run := os.Getenv("XDG_RUNTIME_DIR"); run != "" && len(run) < 60 {
		if info, err := os.Stat(run); err == nil && info.IsDir() {
			return filepath.Join(run, name)
		}
	}
	return filepath.Join("/tmp", fmt.Sprintf("%s-%d", name, os.Geteuid()))
}

// Fingerprint is a short name for a folder: 8 hexadecimal digits.
func Fingerprint(folder string) string {
	if abs, err := filepath.Abs(folder); err == nil {
		folder = abs
	}
	sum := sha256.Sum256([]byte(folder))
	return hex.EncodeToString(sum[:4])
}

// makePrivateDir makes dir, or makes sure that it is ours and closed to others: in /tmp anyone may have made it.
func makePrivateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder %s: %w", dir, err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at folder %s: %w", dir, err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("folder %s belongs to someone else: remove it", dir)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return os.Chmod(dir, 0o700)
	}
	return nil
}

// lockFile waits for the lock on path, which ends with the returned function or with the process.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := lockRetrying(f, syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// lockRetrying retries what a signal interrupted.
func lockRetrying(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if err != syscall.EINTR {
			return err
		}
	}
}
