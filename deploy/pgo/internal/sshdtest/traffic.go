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

// traffic forwards and counts the bytes of the server's connections.
type traffic struct {
	in, out    atomic.Int64 // bytes from and to clients
	all        sync.WaitGroup
	mu         sync.Mutex
	open       map[net.Conn]bool
	callAt     int64  // value of in at which call is called
	call       func() // nil: nothing is to be called
	isShutDown bool
}

// Bytes returns the number of bytes that came from clients and went to them since the start, as encrypted by SSH.
func (s *Server) Bytes() (in, out int64) { return s.traffic.in.Load(), s.traffic.out.Load() }

// Cut closes all connections, in the middle of whatever they do.
func (s *Server) Cut() { s.traffic.closeOpen() }

// CutAfter closes all connections, once, as soon as n more bytes came from clients.
func (s *Server) CutAfter(n int64) { s.CallAfter(n, s.Cut) }

// CallAfter calls do, once, as soon as n more bytes came from clients. What the client sends after them waits until do returns.
func (s *Server) CallAfter(n int64, do func()) {
	s.traffic.mu.Lock()
	defer s.traffic.mu.Unlock()
	s.traffic.callAt, s.traffic.call = s.traffic.in.Load()+n, do
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
				if err := tr.serveClient(s, client); err != nil {
					s.t.Errorf("sshd: %v", err)
				}
			})
		}
	})
}

// shutDown ends the server and all its sshd processes.
func (tr *traffic) shutDown(l net.Listener) {
	tr.mu.Lock()
	tr.isShutDown = true
	tr.mu.Unlock()
	l.Close()
	tr.closeOpen()
	tr.all.Wait()
}

// serveClient runs an sshd for a client until either of them ends the connection.
func (tr *traffic) serveClient(s *Server, client net.Conn) error {
	near, far, err := dialPair()
	if err != nil {
		return errors.Join(err, client.Close())
	}
	if !tr.trackConns(client, near) {
		return far.Close()
	}
	defer tr.closeConns(client, near)
	cmd := exec.Command(s.sshd, "-i", "-f", filepath.Join(s.dir, "sshd_config"), "-E", filepath.Join(s.dir, "sshd.log"))
	cmd.Stdin, cmd.Stdout = far, far
	err = cmd.Start()
	if err = errors.Join(err, far.Close()); err != nil {
		return err
	}
	var both sync.WaitGroup
	both.Go(func() { tr.forward(near, client, &tr.in) })
	both.Go(func() { tr.forward(client, near, &tr.out) })
	both.Wait()
	_ = cmd.Wait() // its exit code depends on how the client ended
	return nil
}

// forward copies and counts bytes until the sender ends, and then closes the receiver's side.
func (tr *traffic) forward(to, from net.Conn, count *atomic.Int64) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			count.Add(int64(n))
			if count == &tr.in {
				tr.callWhenDue()
			}
			if _, err := to.Write(buf[:n]); err != nil {
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

// callWhenDue calls what CallAfter was given when its bytes have come.
func (tr *traffic) callWhenDue() {
	tr.mu.Lock()
	call := tr.call
	if call == nil || tr.in.Load() < tr.callAt {
		tr.mu.Unlock()
		return
	}
	tr.call = nil
	tr.mu.Unlock()
	call()
}

func (tr *traffic) closeOpen() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for conn := range tr.open {
		conn.Close()
	}
}

// trackConns adds connections to those that a cut closes. Where the server has shut down it closes them and returns false.
func (tr *traffic) trackConns(conns ...net.Conn) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, conn := range conns {
		if tr.isShutDown {
			conn.Close()
			continue
		}
		tr.open[conn] = true
	}
	return !tr.isShutDown
}

func (tr *traffic) closeConns(conns ...net.Conn) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, conn := range conns {
		conn.Close()
		delete(tr.open, conn)
	}
}

// dialPair returns the two ends of a TCP connection, the far one as a file for sshd, which looks at its peer's address.
func dialPair() (near net.Conn, far *os.File, err error) {
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
