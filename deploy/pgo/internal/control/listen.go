package control

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Listen opens the control socket, replacing a stale one. Closing it leaves its path: a copy of it goes on.
func Listen(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove a stale socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	// No other user can enter its directory; the mode is a second barrier.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("close the control socket to others: %w", errors.Join(err, l.Close()))
	}
	return l, nil
}

// CopyDescriptor returns a copy of the descriptor of a listener, which the caller closes.
func CopyDescriptor(l *net.UnixListener) (int, error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("copy the control socket: %w", err)
	}
	fd := -1
	var failed error
	err = raw.Control(func(original uintptr) { fd, failed = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, failed); err != nil {
		return -1, fmt.Errorf("copy the control socket: %w", err)
	}
	return fd, nil
}
