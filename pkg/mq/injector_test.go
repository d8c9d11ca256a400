package mq_test

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
)

// injector is a proxy in front of the broker that slips frames of a test's own between the broker's. A real alarm would hold
// up every other test on that broker.
type injector struct {
	addr string
	mu   sync.Mutex
	down []net.Conn // towards the clients
}

func newInjector(t *testing.T, broker string) *injector {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &injector{addr: l.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", broker)
			if err != nil {
				_ = client.Close()
				continue
			}
			p.mu.Lock()
			p.down = append(p.down, client)
			p.mu.Unlock()
			both := func() { _, _ = client.Close(), server.Close() }
			running.Go(func() { defer both(); _, _ = io.Copy(server, client) })
			running.Go(func() { defer both(); p.frames(client, server) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		for _, c := range p.down {
			_ = c.Close()
		}
		p.mu.Unlock()
		running.Wait()
	})
	return p
}

// frames copies whole AMQP frames: type (1 byte), channel (2), size (4), payload, end (1).
func (p *injector) frames(client io.Writer, server io.Reader) {
	for {
		header := make([]byte, 7)
		if _, err := io.ReadFull(server, header); err != nil {
			return
		}
		rest := make([]byte, binary.BigEndian.Uint32(header[3:])+1)
		if _, err := io.ReadFull(server, rest); err != nil {
			return
		}
		p.mu.Lock()
		_, err := client.Write(append(header, rest...))
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *injector) inject(frame []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.down {
		_, _ = c.Write(frame)
	}
}

// methodFrame is a method of class connection (10) on channel 0.
func methodFrame(method uint16, arguments []byte) []byte {
	frame := []byte{1, 0, 0}
	frame = binary.BigEndian.AppendUint32(frame, uint32(4+len(arguments)))
	frame = binary.BigEndian.AppendUint16(frame, 10)
	frame = binary.BigEndian.AppendUint16(frame, method)
	return append(append(frame, arguments...), 0xCE)
}

func connectionBlocked(reason string) []byte {
	return methodFrame(60, append([]byte{byte(len(reason))}, reason...))
}

func connectionUnblocked() []byte { return methodFrame(61, nil) }
