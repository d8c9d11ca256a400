package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// One address holds 5,000 connections. Clients of another address are served all the while.
func TestFloodOfOneAddressLeavesOthersServed(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of connections")
	}
	const connections, calls = 5000, 200
	requireFiles(t, connections+500)
	for _, tc := range []struct {
		name, sends string
		awaitsReply bool
	}{
		{"half a header", "GET /api/v1/users/me HTTP/1.1\r\nHost: a\r\nX-A: ", false},
		{"nothing at all", "", false},
		{"half a body", "POST /api/v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", false},
		{"idle kept connections", "GET /gateway/livez HTTP/1.1\r\nHost: a\r\n\r\n", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := startOptions(t, Options{})
			f := startFlood(t, strings.TrimPrefix(g.http, "http://"), connections, tc.sends, tc.awaitsReply)
			client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
			for n := range calls {
				if err := checkOK(client.Get(g.http + "/api/v1/users/me")); err != nil {
					t.Fatalf("call %d while another address holds %d connections: %v", n, connections, err)
				}
			}
			f.stop()
		})
	}
}

// flood keeps connections of one address open, and opens each again that the gateway ends.
type flood struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// startFlood returns when all connections are open at once.
func startFlood(t *testing.T, addr string, connections int, sends string, awaitsReply bool) *flood {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &flood{cancel: cancel}
	t.Cleanup(f.stop)
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: 20 * time.Second}
	opened := make(chan error, connections)
	for range connections {
		f.done.Go(func() {
			var once sync.Once
			report := func(err error) { once.Do(func() { opened <- err }) }
			for ctx.Err() == nil {
				err := holdConnection(ctx, dialer, addr, sends, awaitsReply, func() { report(nil) })
				if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
					continue // the gateway ended it, since this machine was too slow to send in time
				}
				report(err)
			}
		})
	}
	for range connections {
		if err := <-opened; err != nil {
			t.Fatalf("open %d connections: %v", connections, err)
		}
	}
	return f
}

// holdConnection keeps a connection until the gateway or ctx ends it. It calls opened when the gateway has what is sent.
func holdConnection(ctx context.Context, dialer *net.Dialer, addr, sends string, awaitsReply bool, opened func()) error {
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, sends); err != nil {
		return err
	}
	if awaitsReply {
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
	}
	opened()
	_, _ = io.Copy(io.Discard, conn) // until either side ends it
	return nil
}

func (f *flood) stop() {
	f.cancel()
	f.done.Wait()
}

// requireFiles raises the limit of open files, which nginx inherits as well, and fails the test if the machine has too few.
func requireFiles(t *testing.T, files uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < files {
		t.Fatalf("a process may open %d files here: raise the limit to %d (ulimit -Hn %[2]d)", limit.Max, files)
	}
	if limit.Cur < files {
		raised := unix.Rlimit{Cur: files, Max: limit.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err != nil {
			t.Fatal(err)
		}
	}
}
