package sshdtest

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// traffic is what goes through the server's connections.
type traffic struct {
	in, out  atomic.Int64 // bytes from and to clients
	all      sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]bool
	cutAfter int64 // of the bytes from clients, counted on; 0 is never
	ended    bool
}

// Bytes returns how many bytes came from clients, and went to them, since the start. It counts what is on the wire, as SSH
// has encrypted it.
func (s *Server) Bytes() (in, out int64) { return s.traffic.in.Load(), s.traffic.out.Load() }

// Cut loses all connections there are, in the middle of whatever they do.
func (s *Server) Cut() { s.traffic.cut() }

// CutAfter loses all connections, once, as soon as n more bytes came from clients.
func (s *Server) CutAfter(n int64) {
	s.traffic.mu.Lock()
	defer s.traffic.mu.Unlock()
	s.traffic.cutAfter = s.traffic.in.Load() + n
}

func (tr *traffic) serve(s *Server, l net.Listener) {
	tr.open = map[net.Conn]bool{}
	tr.all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			tr.all.Go(func() {
				if err := tr.connect(s, client); err != nil {
					s.t.Errorf("sshd: %v", err)
				}
			})
		}
	})
}

// end ends the server and everything that it runs.
func (tr *traffic) end(l net.Listener) {
	tr.mu.Lock()
	tr.ended = true
	tr.mu.Unlock()
	l.Close()
	tr.cut()
	tr.all.Wait()
}

// connect runs an sshd for the client until one of both ends the connection.
func (tr *traffic) connect(s *Server, client net.Conn) error {
	near, far, err := pair()
	if err != nil {
		return errors.Join(err, client.Close())
	}
	if !tr.keep(client, near) {
		return far.Close()
	}
	defer tr.forget(client, near)
	cmd := exec.Command(s.sshd, "-i", "-f", filepath.Join(s.dir, "sshd_config"), "-E", filepath.Join(s.dir, "sshd.log"))
	cmd.Stdin, cmd.Stdout = far, far
	err = cmd.Start()
	if err = errors.Join(err, far.Close()); err != nil {
		return err
	}
	var both sync.WaitGroup
	both.Go(func() { tr.pass(near, client, &tr.in) })
	both.Go(func() { tr.pass(client, near, &tr.out) })
	both.Wait()
	_ = cmd.Wait() // its exit code says how the client has left
	return nil
}

// pass copies and counts, and tells the receiver of the sender's end.
func (tr *traffic) pass(to, from net.Conn, count *atomic.Int64) {
	piece := make([]byte, 4096)
	for {
		n, err := from.Read(piece)
		if n > 0 {
			count.Add(int64(n))
			if tr.due() {
				tr.cut()
				return
			}
			if _, err := to.Write(piece[:n]); err != nil {
				from.Close()
				return
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) && to.(*net.TCPConn).CloseWrite() == nil {
				return
			}
			to.Close()
			return
		}
	}
}

func (tr *traffic) due() bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.cutAfter == 0 || tr.in.Load() < tr.cutAfter {
		return false
	}
	tr.cutAfter = 0
	return true
}

func (tr *traffic) cut() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for conn := range tr.open {
		conn.Close()
	}
}

// keep notes what has to be closed by a cut, or closes it where the server has ended.
func (tr *traffic) keep(conns ...net.Conn) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, conn := range conns {
		if tr.ended {
			conn.Close()
			continue
		}
		tr.open[conn] = true
	}
	return !tr.ended
}

func (tr *traffic) forget(conns ...net.Conn) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, conn := range conns {
		conn.Close()
		delete(tr.open, conn)
	}
}

// pair returns the two ends of a TCP connection, the far one as a file for another program: sshd looks at its peer's address.
func pair() (near net.Conn, far *os.File, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	near, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	accepted, err := l.Accept()
	if err != nil {
		return nil, nil, errors.Join(err, near.Close())
	}
	defer accepted.Close()
	far, err = accepted.(*net.TCPConn).File()
	if err != nil {
		return nil, nil, errors.Join(err, near.Close())
	}
	return near, far, nil
}
