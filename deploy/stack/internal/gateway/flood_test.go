package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
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
			t.Logf("the flood opened %d connections", f.opened.Load())
		})
	}
}

// reopenings is how many connections a flood opens again in a second: enough to hold 5,000 of 5 s, the timeout of a header. Without
// a bound the flood of connections that the gateway refuses at once, since the address has enough requests, uses all of the
// machine's processors, and the test measures its own work.
const reopenings = 1200

// flood keeps connections of one address open, and opens each again that the gateway ends.
type flood struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	opened atomic.Int64
}

// startFlood returns when every connection was open once. It opens a few at a time: the kernel drops what is more than the
// gateway's backlog, and asks again after seconds.
func startFlood(t *testing.T, addr string, connections int, sends string, awaitsReply bool) *flood {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &flood{cancel: cancel}
	t.Cleanup(f.stop)
	opened, failed := make(chan struct{}, connections), make(chan error, 1)
	turns := make(chan struct{}, 100)
	pace := time.NewTicker(time.Second / reopenings)
	context.AfterFunc(ctx, pace.Stop)
	for range connections {
		f.done.Go(func() {
			reportOpened := sync.OnceFunc(func() { opened <- struct{}{} })
			for ctx.Err() == nil {
				turns <- struct{}{}
				conn, err := openConnection(ctx, addr, sends, awaitsReply)
				<-turns
				if err != nil {
					select {
					case failed <- err:
					default:
					}
					continue // the gateway may end a connection before a slow machine has sent anything
				}
				reportOpened()
				f.opened.Add(1)
				stop := context.AfterFunc(ctx, func() { conn.Close() })
				_, _ = io.Copy(io.Discard, conn) // until either side ends it
				stop()
				conn.Close()
				select {
				case <-pace.C:
				case <-ctx.Done():
				}
			}
		})
	}
	hangs := time.After(5 * time.Minute)
	for n := range connections {
		select {
		case <-opened:
		case <-hangs:
			t.Fatalf("opened %d of %d connections; the first failure: %v", n, connections, <-failed)
		}
	}
	return f
}

// openConnection opens a connection of the flooding address, and sends what the flood sends.
func openConnection(ctx context.Context, addr, sends string, awaitsReply bool) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if _, err = io.WriteString(conn, sends); err == nil && awaitsReply {
		_, err = conn.Read(make([]byte, 1))
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("send: %w", err)
	}
	return conn, nil
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
