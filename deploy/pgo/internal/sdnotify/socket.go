// Package sdnotify receives the messages that processes send by the protocol of sd_notify(3).
package sdnotify

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/proc"
)

// Socket is a process's NOTIFY_SOCKET. The kernel attaches the sender's pid to each message.
type Socket struct {
	Path string

	mu    sync.Mutex      // guards the fields below
	conns []*net.UnixConn // the last is at Path; nil once the socket is closed
	each  func(Message)   // of Receive
}

// Message is one message of a process.
type Message struct {
	PID    int
	Fields map[string]string
}

// OpenSocket opens a socket at a path, and replaces what a killed manager has left there.
func OpenSocket(path string) (*Socket, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open the notify socket: %w", err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("open the notify socket: %w", err)
	}
	n := &Socket{Path: path, conns: []*net.UnixConn{conn}}
	err = n.Control(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("open the notify socket: %w", err)
	}
	return n, nil
}

// AdoptSocket returns a socket from the descriptor that the keeper has held. It closes the descriptor.
func AdoptSocket(fd int, path string) (*Socket, error) {
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
	return &Socket{Path: path, conns: []*net.UnixConn{conn}}, nil
}

// Control calls f with the socket's descriptor.
func (n *Socket) Control(f func(fd int) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns == nil {
		return net.ErrClosed
	}
	raw, err := n.conns[len(n.conns)-1].SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = f(int(fd)) })
	return errors.Join(err, failed)
}

// Receive calls each for every message, until the socket is closed. After a Restore it is called concurrently.
func (n *Socket) Receive(each func(Message)) {
	n.mu.Lock()
	n.each = each
	conns := n.conns
	n.mu.Unlock()
	if conns != nil {
		receive(conns[len(conns)-1], each)
	}
}

// Restore opens the socket again where its path has disappeared, and reports whether it had. A process that has connected to it
// before still reaches it.
func (n *Socket) Restore() (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := os.Lstat(n.Path); n.conns == nil || !errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	next, err := OpenSocket(n.Path)
	if err != nil {
		return false, err
	}
	n.conns = append(n.conns, next.conns...)
	if n.each != nil {
		go receive(next.conns[0], n.each) // until Close
	}
	return true, nil
}

// receive calls each for every message, until the connection is closed.
func receive(conn *net.UnixConn, each func(Message)) {
	text, ancillary := make([]byte, 4096), make([]byte, 256)
	for {
		size, more, _, _, err := conn.ReadMsgUnix(text, ancillary)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if pid := senderPID(ancillary[:more]); pid != 0 {
			each(Message{PID: pid, Fields: parseAssignments(string(text[:size]))})
		}
	}
}

// Close closes the socket and removes its path.
func (n *Socket) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, conn := range n.conns {
		_ = conn.Close()
	}
	n.conns = nil
	_ = os.Remove(n.Path)
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

// parseAssignments reads lines of KEY=value; other lines are ignored.
func parseAssignments(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		if key, value, ok := strings.Cut(line, "="); ok {
			fields[key] = value
		}
	}
	return fields
}

// IsFrom reports whether the process, or something that it started, has sent the message.
func (n Message) IsFrom(main int) bool {
	if n.PID == main {
		return true
	}
	s, err := proc.ReadStat(n.PID)
	return err == nil && s.Session == main
}
