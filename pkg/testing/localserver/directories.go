package localserver

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// maxSocketPath is the length of sockaddr_un's path without its closing zero.
const maxSocketPath = 107

// SocketDir returns the directory for the Unix sockets of home: short however deep home is, the same at every call, and
// another one for each home. It does not create it.
func SocketDir(home string) string {
	name := "pgo-" + Fingerprint(home)
	if run := os.Getenv("XDG_RUNTIME_DIR"); run != "" && len(run) < 60 {
		if info, err := os.Stat(run); err == nil && info.IsDir() {
			return filepath.Join(run, name)
		}
	}
	return filepath.Join("/tmp", fmt.Sprintf("%s-%d", name, os.Geteuid()))
}

// Fingerprint returns a short name for a directory: 8 hexadecimal digits.
func Fingerprint(directory string) string {
	if abs, err := filepath.Abs(directory); err == nil {
		directory = abs
	}
	sum := sha256.Sum256([]byte(directory))
	return hex.EncodeToString(sum[:4])
}

// makePrivateDir creates dir, or checks that it is ours and closes it to others: in /tmp any user may have created it.
func makePrivateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make directory %s: %w", dir, err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at directory %s: %w", dir, err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("directory %s belongs to someone else: remove it", dir)
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
