package manager

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
)

// socketsInterval is the time between two looks for sockets whose paths have disappeared, as with a directory of temporary files
// that was cleaned.
const socketsInterval = 2 * time.Second

// guardSockets opens the control socket and the notify sockets again where their paths have disappeared, until ctx ends. serve is
// called with each new listener of the control socket.
func (m *Manager) guardSockets(ctx context.Context, o Options, serve func(net.Listener)) {
	ticker := time.NewTicker(socketsInterval)
	defer ticker.Stop()
	shown := ""
	if isRefused(o.Socket) { // the manager before has opened it, and ended before the keeper had it
		_ = os.Remove(o.Socket)
	}
	for {
		err := m.restoreSockets(o, serve)
		if err != nil && err.Error() != shown {
			m.deps.Log.Error("open a socket again that has disappeared", "error", err)
		}
		if shown = ""; err != nil {
			shown = err.Error()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// restoreSockets opens the sockets again whose paths have disappeared, and writes the control socket's path down where that is
// lost.
func (m *Manager) restoreSockets(o Options, serve func(net.Listener)) error {
	if isMissing(o.Sockets) {
		if err := home.CreatePrivateDir(o.Sockets); err != nil {
			return err
		}
	}
	var failed []error
	if isMissing(o.Socket) {
		failed = append(failed, restoreControl(o, serve))
	}
	if _, err := o.Home.ReadManager(); errors.Is(err, os.ErrNotExist) {
		failed = append(failed, o.Home.WriteManager(home.ManagerAddr{PID: o.Link.Hello.PID, Socket: o.Socket}))
	}
	return errors.Join(append(failed, m.deps.RestoreNotifySockets())...)
}

// restoreControl opens the control socket, has the keeper hold it in place of the unreachable one, and serves it.
func restoreControl(o Options, serve func(net.Listener)) error {
	l, err := control.Listen(o.Socket)
	if err != nil {
		return err
	}
	fd, err := control.CopyDescriptor(l)
	if err != nil {
		return errors.Join(err, l.Close(), os.Remove(o.Socket))
	}
	defer func() { _ = unix.Close(fd) }()
	o.Log.Warn("opened the control socket again, which had disappeared", "socket", o.Socket)
	serve(l)
	if err := o.Link.HoldDescriptor(ControlKey, fd); err != nil {
		return fmt.Errorf("have the keeper hold the control socket: %w", err)
	}
	return nil
}

// isRefused reports whether no one listens at the path of a socket.
func isRefused(path string) bool {
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// isMissing reports whether there is nothing at a path.
func isMissing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, os.ErrNotExist)
}
