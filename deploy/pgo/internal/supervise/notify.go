package supervise

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/proc"
)

// notifySocket is a process's NOTIFY_SOCKET. The kernel attaches the sender's pid to each message.
type notifySocket struct {
	path string
	conn *net.UnixConn
}

// notification is one message of a process.
type notification struct {
	pid    int
	fields map[string]string
}

func openNotifySocket(path string) (*notifySocket, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open the notify socket: %w", err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("open the notify socket: %w", err)
	}
	n := &notifySocket{path: path, conn: conn}
	err = n.withFD(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("open the notify socket: %w", err)
	}
	return n, nil
}

// adoptNotifySocket returns a notify socket that the keeper has held. It closes the descriptor.
func adoptNotifySocket(fd int, path string) (*notifySocket, error) {
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("take over a notify socket: %w", err)
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, errors.New("take over a notify socket: it is none")
	}
	return &notifySocket{path: path, conn: conn}, nil
}

// withFD calls f with the socket's descriptor.
func (n *notifySocket) withFD(f func(fd int) error) error {
	raw, err := n.conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = f(int(fd)) })
	return errors.Join(err, failed)
}

// receive calls each for every message until the socket is closed.
func (n *notifySocket) receive(each func(notification)) {
	text, ancillary := make([]byte, 4096), make([]byte, 256)
	for {
		size, more, _, _, err := n.conn.ReadMsgUnix(text, ancillary)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if pid := senderPID(ancillary[:more]); pid != 0 {
			each(notification{pid: pid, fields: parseAssignments(string(text[:size]))})
		}
	}
}

func (n *notifySocket) close() {
	_ = n.conn.Close()
	_ = os.Remove(n.path)
}

// senderPID returns the pid in the ancillary data, and closes descriptors that a sender may have attached.
func senderPID(ancillary []byte) int {
	messages, err := unix.ParseSocketControlMessage(ancillary)
	if err != nil {
		return 0
	}
	pid := 0
	for _, m := range messages {
		if fds, err := unix.ParseUnixRights(&m); err == nil {
			for _, fd := range fds {
				_ = syscall.Close(fd)
			}
		}
		if c, err := unix.ParseUnixCredentials(&m); err == nil {
			pid = int(c.Pid)
		}
	}
	return pid
}

func parseAssignments(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		if key, value, ok := strings.Cut(line, "="); ok {
			fields[key] = value
		}
	}
	return fields
}

// isFrom reports whether the process, or something that it started, has sent the message.
func (n notification) isFrom(main int) bool {
	if n.pid == main {
		return true
	}
	s, err := proc.ReadStat(n.pid)
	return err == nil && s.Session == main
}
