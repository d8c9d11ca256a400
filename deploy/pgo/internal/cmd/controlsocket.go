package cmd

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// listenControl opens the control socket, replacing a stale one, and returns its descriptor.
func listenControl(path string) (int, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return -1, fmt.Errorf("remove a stale socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return -1, fmt.Errorf("open the control socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	defer func() { _ = l.Close() }() // the duplicate keeps listening
	// No other user can enter its directory; the mode is a second barrier.
	if err := os.Chmod(path, 0o600); err != nil {
		return -1, fmt.Errorf("close the control socket to others: %w", err)
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("open the control socket: %w", err)
	}
	fd := -1
	var failed error
	err = raw.Control(func(original uintptr) { fd, failed = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, failed); err != nil {
		return -1, fmt.Errorf("open the control socket: %w", err)
	}
	return fd, nil
}
