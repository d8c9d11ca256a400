package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Management is a client for RabbitMQ's management API.
type Management struct {
	base, username, password string
	client                   *http.Client
}

// NewManagement returns a client for r's API without dialling it.
func NewManagement(r RabbitMQ) *Management {
	return &Management{
		base: strings.TrimRight(r.API, "/"), username: r.Username, password: r.Password,
		client: &http.Client{},
	}
}

// StatusError is a response with another status than 2xx.
type StatusError struct {
	Method, Path string
	Status       int
	Body         string // the first 200 bytes
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("RabbitMQ's management API answers %s %s with %d %s: %s", e.Method, e.Path, e.Status, http.StatusText(e.Status), e.Body)
}

// IsNotFound reports whether err is a response with status 404.
func IsNotFound(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && status.Status == http.StatusNotFound
}

// maxResponseSize bounds the part of a response that is read, in bytes.
const maxResponseSize = 4 << 20

// Do sends body as JSON unless it is nil and decodes the response into out unless that is nil. It returns a *StatusError for
// another status than 2xx. It escapes the elements of path and waits at most ten seconds if ctx has no deadline.
func (m *Management) Do(ctx context.Context, method string, body, out any, path ...string) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
	}
	escaped := make([]string, len(path))
	for i, p := range path {
		escaped[i] = url.PathEscape(p)
	}
	at := "/api/" + strings.Join(escaped, "/")
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode %s: %w", at, err)
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, m.base+at, content)
	if err != nil {
		return fmt.Errorf("call RabbitMQ's management API: %w", err)
	}
	req.SetBasicAuth(m.username, m.password)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := m.client.Do(req)
	if err != nil {
		return fmt.Errorf("call RabbitMQ's management API: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxResponseSize))
	if err != nil {
		return fmt.Errorf("read RabbitMQ's management API: %w", err)
	}
	if res.StatusCode/100 != 2 {
		return &StatusError{Method: method, Path: at, Status: res.StatusCode, Body: strings.TrimSpace(string(text[:min(len(text), 200)]))}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("read RabbitMQ's management API: %s: %w", at, err)
	}
	return nil
}
