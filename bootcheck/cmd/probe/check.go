package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// checkHTTP requests the URL and returns an error unless the status is 2xx.
func checkHTTP(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usageError{err.Error()}
	}
	// A redirect is not followed: the server that sends it does not serve this address.
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return trimError(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 300))
	if err != nil {
		return trimError(err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("it answers %s: %s", res.Status, bytes.TrimSpace(body))
	}
	return nil
}

// checkTCP opens a connection and closes it.
func checkTCP(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return trimError(err)
	}
	return conn.Close()
}

// trimError drops the operation and the address from a network error: the caller names them.
func trimError(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
