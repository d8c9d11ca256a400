package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/home"
)

// ErrNotRunning is returned when no manager runs on the home.
var ErrNotRunning = errors.New("pgo is not running")

// Client calls the API of one home's manager.
type Client struct {
	http    *http.Client
	version string
}

// Version returns the version of the manager.
func (c *Client) Version() string { return c.version }

// Connect finds the manager of the home. It returns ErrNotRunning if none answers.
func Connect(ctx context.Context, h home.Home) (*Client, error) {
	m, err := h.ReadManager()
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNotRunning
	}
	if err != nil {
		return nil, fmt.Errorf("find the manager: %w", err)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", m.Socket)
	}
	c := &Client{http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
	info, err := c.Info(ctx)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			return nil, ErrNotRunning
		}
		return nil, err
	}
	c.version = info.Version
	return c, nil
}

// Info returns the description of the manager itself.
func (c *Client) Info(ctx context.Context) (Info, error) {
	var info Info
	return info, c.callRetrying(ctx, http.MethodGet, "info", nil, &info)
}

// ListProcesses returns all processes with their resource usage.
func (c *Client) ListProcesses(ctx context.Context) ([]Process, error) {
	var processes []Process
	return processes, c.callRetrying(ctx, http.MethodGet, "processes", nil, &processes)
}

// AwaitChanges returns the events after the given sequence number. If there are none yet, it waits for one, and after a
// while returns without.
func (c *Client) AwaitChanges(ctx context.Context, after int64) (Changes, error) {
	var changes Changes
	return changes, c.callRetrying(ctx, http.MethodGet, fmt.Sprintf("changes?after=%d", after), nil, &changes)
}

// PlanApply returns the steps that applying a process file would take.
func (c *Client) PlanApply(ctx context.Context, body ApplyRequest) (Plan, error) {
	var plan Plan
	return plan, c.callRetrying(ctx, http.MethodPost, "plan", body, &plan)
}

// DescribeProcesses returns the full description of each process that matches the name, which may be a pattern. Secrets are
// masked unless showEnv is set.
func (c *Client) DescribeProcesses(ctx context.Context, name string, showEnv bool) ([]Description, error) {
	var all []Description
	return all, c.callRetrying(ctx, http.MethodGet, fmt.Sprintf("describe?name=%s&show_env=%t", url.QueryEscape(name), showEnv), nil, &all)
}

// RunCommand sends a command such as apply, stop or down, and returns the resulting state. It returns once every process
// to be stopped has stopped; it does not wait for started processes to become ready.
func (c *Client) RunCommand(ctx context.Context, command string, body any) (Changes, error) {
	var changes Changes
	return changes, c.callRetrying(ctx, http.MethodPost, command, body, &changes)
}

// ListDeployables returns the processes that can be deployed. It waits for a running rollback to finish first.
func (c *Client) ListDeployables(ctx context.Context) ([]Deployable, error) {
	var all []Deployable
	return all, c.callRetrying(ctx, http.MethodGet, "deployables", nil, &all)
}

// ErrManagerLost is returned by RunRollout when the manager ends during a rollout. The next manager completes or rolls back
// the rollout; the audit log holds the result.
var ErrManagerLost = errors.New("the manager ended meanwhile")

// RunRollout rolls out a set of releases and calls tell for each progress report. If ctx ends, the manager rolls back.
func (c *Client) RunRollout(ctx context.Context, ask RolloutRequest, tell func(Progress)) (audit.Entry, error) {
	body, err := json.Marshal(ask)
	if err != nil {
		return audit.Entry{}, fmt.Errorf("ask the manager: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://pgo/v1/rollout", bytes.NewReader(body))
	if err != nil {
		return audit.Entry{}, fmt.Errorf("ask the manager: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return audit.Entry{}, fmt.Errorf("ask the manager: %w: %w", ErrManagerLost, err)
	}
	defer res.Body.Close()
	lines := json.NewDecoder(res.Body)
	if res.StatusCode != http.StatusOK {
		failure := Failure{Error: "the manager answers " + res.Status}
		_ = lines.Decode(&failure) // without a reason the HTTP status must do
		return audit.Entry{}, errors.New(failure.Error)
	}
	for {
		var p Progress
		if err := lines.Decode(&p); err != nil {
			return audit.Entry{}, fmt.Errorf("%w: %w", ErrManagerLost, err)
		}
		if p.Result != nil {
			return *p.Result, nil
		}
		tell(p)
	}
}

// maxAttempts bounds the attempts of one read request. A manager that ends is followed by the next one on the same socket.
const maxAttempts = 5

func (c *Client) callRetrying(ctx context.Context, method, path string, body, into any) error {
	for attempt := 1; ; attempt++ {
		err := c.callOnce(ctx, method, path, body, into)
		switch {
		case err == nil || ctx.Err() != nil || !isInterrupted(err):
			return err
		case method != http.MethodGet:
			return fmt.Errorf("%w: the manager ended during the request and was restarted; pgo list shows the current state", err)
		case attempt == maxAttempts:
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// isInterrupted reports whether the manager went down in the middle of an answer.
func isInterrupted(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (c *Client) callOnce(ctx context.Context, method, path string, body, into any) error {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("ask the manager: %w", err)
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://pgo/v1/"+path, content)
	if err != nil {
		return fmt.Errorf("ask the manager: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the manager: %w", err)
	}
	defer res.Body.Close()
	decoder := json.NewDecoder(res.Body)
	if res.StatusCode != http.StatusOK {
		failure := Failure{Error: "the manager answers " + res.Status}
		_ = decoder.Decode(&failure) // without a reason the HTTP status must do
		return errors.New(failure.Error)
	}
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("read the manager's answer: %w", err)
	}
	return nil
}
