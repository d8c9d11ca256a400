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

// Management speaks to RabbitMQ's management API.
type Management struct {
	base, username, password string
	client                   *http.Client
}

// NewManagement returns a client for r's API. Nothing is dialled yet.
func NewManagement(r RabbitMQ) *Management {
	return &Management{
		base: strings.TrimRight(r.API, "/"), username: r.Username, password: r.Password,
		client: &http.Client{},
	}
}

// StatusError is an answer that is not 2xx.
type StatusError struct {
	Method, Path string
	Status       int
	Body         string // its beginning
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("RabbitMQ's management API answers %s %s with %d %s: %s", e.Method, e.Path, e.Status, http.StatusText(e.Status), e.Body)
}

// IsNotFound says whether err is an answer 404.
func IsNotFound(err error) bool {
	var said *StatusError
	return errors.As(err, &said) && said.Status == http.StatusNotFound
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 4 << 20

// Do sends body as JSON when it is not nil and reads the answer into out when that is not nil. An answer that is
// not 2xx is a *StatusError. path elements are escaped. It takes ten seconds at most when ctx has no deadline.
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
		return fmt.Errorf("ask RabbitMQ's management API: %w", err)
	}
	req.SetBasicAuth(m.username, m.password)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := m.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask RabbitMQ's management API: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
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
