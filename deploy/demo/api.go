package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// problem is an error response of the API.
type problem struct {
	method, path string
	Status       int    `json:"status"`
	Code         string `json:"code"`
	Detail       string `json:"detail"`
	Errors       []struct {
		Field   string `json:"field"`
		Message string `json:"message"`
	} `json:"errors"`
}

func (p *problem) Error() string {
	text := fmt.Sprintf("%s %s: %d %s: %s", p.method, p.path, p.Status, p.Code, p.Detail)
	for _, e := range p.Errors {
		text += fmt.Sprintf(" (%s %s)", e.Field, e.Message)
	}
	return text
}

// api calls the gateway.
type api struct {
	base   string
	within time.Duration // for the effects of an event, and for a service that is unavailable for a moment
	client *http.Client
}

func newAPI(base string, within time.Duration) *api {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = maxConcurrent
	transport.Proxy = nil // the gateway is near
	return &api{base: strings.TrimSuffix(base, "/"), within: within, client: &http.Client{Transport: transport, Timeout: 40 * time.Second}}
}

// checkServices returns errStackDown unless the three services answer through the gateway.
func (a *api) checkServices(ctx context.Context) error {
	for _, service := range []string{"user", "school", "task"} {
		status, _, err := a.sendRequest(ctx, http.MethodGet, "/services/"+service+"/readyz", "", nil)
		if err != nil {
			return fmt.Errorf("%w (%w)", errStackDown, err)
		}
		if status != http.StatusOK {
			return fmt.Errorf("%w (%s answers %d at %s)", errStackDown, service, status, a.base)
		}
	}
	return nil
}

// call sends in and reads the answer into out; both may be nil. It tries again what was not done: a call that came
// too early (429) or to an unavailable service (503), and one that may be sent twice when the gateway lost it.
func (a *api) call(ctx context.Context, method, path, token string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(a.within); ; {
		status, answer, err := a.sendRequest(ctx, method, path, token, body)
		if err != nil {
			return err
		}
		if status < 300 {
			if out == nil {
				return nil
			}
			if err := json.Unmarshal(answer.text, out); err != nil {
				return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
			}
			return nil
		}
		p := &problem{method: method, path: path}
		if json.Unmarshal(answer.text, p) != nil || p.Code == "" {
			p.Detail = strings.TrimSpace(string(answer.text[:min(len(answer.text), 200)]))
		}
		p.Status = status
		if !isRetryable(method, status) || time.Now().Add(answer.wait).After(deadline) {
			return p
		}
		if err := sleepContext(ctx, answer.wait); err != nil {
			return err
		}
	}
}

// isRetryable reports whether a call with this response may be sent again.
func isRetryable(method string, status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return method == http.MethodGet || method == http.MethodPut
	}
	return false
}

// response is a response's body and how long it asks to wait before the next try.
type response struct {
	text []byte
	wait time.Duration
}

const pollInterval = 100 * time.Millisecond // between two attempts

func (a *api) sendRequest(ctx context.Context, method, path, token string, body []byte) (int, response, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, response{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := a.client.Do(req)
	if err != nil {
		return 0, response{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return 0, response{}, fmt.Errorf("%s %s: %w", method, path, err)
	}
	wait := pollInterval
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		wait = time.Duration(seconds) * time.Second
	}
	return res.StatusCode, response{text, wait}, nil
}

// eventually asks again until done says so: what follows from an event comes a moment later. A problem among notYet
// means that it has not come.
func (a *api) eventually(ctx context.Context, what string, done func() error, notYet ...int) error {
	for deadline := time.Now().Add(a.within); ; {
		err := done()
		var p *problem
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errNotYet):
		case errors.As(err, &p) && slices.Contains(notYet, p.Status):
		default:
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not within %v: %w", what, a.within, err)
		}
		if err := sleepContext(ctx, pollInterval); err != nil {
			return err
		}
	}
}

// errNotYet is returned by the condition of eventually while it waits.
var errNotYet = errors.New("not yet")

func sleepContext(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
