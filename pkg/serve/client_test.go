package serve_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// client is one connection that is used again for as long as the server lets it. Unlike http.Client it never
// sends a request a second time.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(addr string) (*client, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReader(conn)}, nil
}

func mustDial(t testing.TB, addr string) *client {
	t.Helper()
	c, err := dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

func (c *client) send(method, path, body string) error {
	_, err := fmt.Fprintf(c.conn, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body)
	return err
}

func (c *client) receive() (status int, body string, closes bool, err error) {
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, "", false, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), res.Close, err
}

func (c *client) do(method, path, body string) (int, string, bool, error) {
	if err := c.send(method, path, body); err != nil {
		return 0, "", false, err
	}
	return c.receive()
}
