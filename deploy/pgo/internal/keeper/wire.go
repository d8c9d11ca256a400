package keeper

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxMessage bounds a message in bytes. A process file with all its environment is far below.
const maxMessage = 64 << 20

// peerTimeout is the time that the other side may leave a full socket unread before it counts as hung.
const peerTimeout = 5 * time.Second

// wire sends and receives messages with descriptors over a unix stream socket.
type wire struct {
	conn *net.UnixConn
	mu   sync.Mutex // held while a message is written
}

func newWire(fd int) (*wire, error) {
	f := os.NewFile(uintptr(fd), "keeper")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("open the link of keeper and manager: %w", err)
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("open the link of keeper and manager: not a unix socket")
	}
	return &wire{conn: conn}, nil
}

func (w *wire) close() { _ = w.conn.Close() }

// send writes a message. The descriptors stay the caller's.
func (w *wire) send(m message, fds ...int) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.conn.SetWriteDeadline(time.Now().Add(peerTimeout)); err != nil {
		return err
	}
	// The head is written alone: descriptors belong to its bytes, and no read takes bytes of two frames.
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	if _, _, err := w.conn.WriteMsgUnix(head, rights, nil); err != nil {
		return err
	}
	_, err = w.conn.Write(body)
	return err
}

// receive reads a message. The caller owns the descriptors; they close on exec.
func (w *wire) receive() (message, []int, error) {
	var m message
	head, rights := make([]byte, 4), make([]byte, unix.CmsgSpace(4*32))
	n, more, _, _, err := w.conn.ReadMsgUnix(head, rights)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return m, nil, err
	}
	fds, err := parseDescriptors(rights[:more])
	if err != nil {
		return m, nil, err
	}
	if _, err = io.ReadFull(w.conn, head[n:]); err == nil {
		if size := binary.BigEndian.Uint32(head); size > maxMessage {
			err = fmt.Errorf("a message of %d bytes", size)
		} else {
			body := make([]byte, size)
			if _, err = io.ReadFull(w.conn, body); err == nil {
				err = json.Unmarshal(body, &m)
			}
		}
	}
	if err != nil {
		closeDescriptors(fds)
	}
	return m, fds, err
}

func parseDescriptors(rights []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	var fds []int
	for _, m := range messages {
		more, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, err
		}
		fds = append(fds, more...)
	}
	return fds, nil
}

func closeDescriptors(fds []int) {
	for _, fd := range fds {
		_ = syscall.Close(fd)
	}
}
