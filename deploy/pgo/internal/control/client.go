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
	http *http.Client
	info Info // when it was connected
}

// Version returns the version of the manager.
func (c *Client) Version() string { return c.info.Version }

// Keeper returns the PID of the keeper.
func (c *Client) Keeper() int { return c.info.KeeperPID }

// Timeouts of a client.
const (
	connectTimeout = 5 * time.Second  // for the socket of a keeper that runs: it is starting, or opens its socket again
	answerTimeout  = 30 * time.Second // for an answer that waits for nothing
	longPoll       = 20 * time.Second // for a change; answered without one then
)

// ErrNoAnswer is returned when a manager that is there does not answer.
var ErrNoAnswer = errors.New("the manager does not answer")

// UnreachableError is returned when a keeper runs on the home, and its manager cannot be reached.
type UnreachableError struct {
	Home   home.Home
	Keeper int // its PID; 0 if that is not known
	Socket string
	Err    error
}

// Error returns who holds the lock and what is wrong with the socket.
func (e *UnreachableError) Error() string {
	holder := "a process that is not visible here"
	if e.Keeper != 0 {
		holder = fmt.Sprintf("pid %d", e.Keeper)
	}
	what := e.Err.Error()
	if errors.Is(e.Err, os.ErrNotExist) {
		what = "it is missing (a pgo that is well opens it again within seconds)"
	}
	return fmt.Sprintf("pgo runs, and is not reached: the lock on %s is held by %s, and its socket %s: %s: pgo down stops everything", e.Home, holder, e.Socket, what)
}

// Unwrap returns the error of the socket.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Connect finds the manager of the home. It returns ErrNotRunning if there is none, and an UnreachableError if it
// cannot be reached.
func Connect(ctx context.Context, h home.Home) (*Client, error) {
	for end := time.Now().Add(connectTimeout); ; {
		m, err := h.ReadManager()
		if errors.Is(err, os.ErrNotExist) {
			m, err = home.ManagerAddr{Socket: h.DefaultSocket(os.Getenv)}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("find the manager: %w", err)
		}
		c := newClient(m.Socket)
		info, err := c.Info(ctx)
		isAbsent := errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
		switch {
		case err == nil:
			c.info = info
			return c, nil
		case ctx.Err() != nil:
			return nil, err
		case isAbsent && !h.IsLocked():
			return nil, ErrNotRunning
		case !isAbsent, time.Now().After(end):
			return nil, &UnreachableError{Home: h, Keeper: h.FindKeeper(), Socket: m.Socket, Err: err}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func newClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Info returns the description of the manager itself.
func (c *Client) Info(ctx context.Context) (Info, error) {
	var info Info
	return info, c.callWithin(ctx, answerTimeout, http.MethodGet, "info", nil, &info)
}

// ListProcesses returns all processes with their resource usage.
func (c *Client) ListProcesses(ctx context.Context) ([]Process, error) {
	var processes []Process
	return processes, c.callWithin(ctx, answerTimeout, http.MethodGet, "processes", nil, &processes)
}

// AwaitChanges returns the events after the given sequence number. If there are none yet, it waits for one, and after a
// while returns without.
func (c *Client) AwaitChanges(ctx context.Context, after int64) (Changes, error) {
	var changes Changes
	return changes, c.callWithin(ctx, longPoll+answerTimeout, http.MethodGet, fmt.Sprintf("changes?after=%d", after), nil, &changes)
}

// PlanApply returns the steps that applying a process file would take.
func (c *Client) PlanApply(ctx context.Context, body ApplyRequest) (Plan, error) {
	var plan Plan
	return plan, c.callWithin(ctx, answerTimeout, http.MethodPost, "plan", body, &plan)
}

// DescribeProcesses returns the full description of each process that matches the name, which may be a pattern. Secrets are
// masked unless showEnv is set.
func (c *Client) DescribeProcesses(ctx context.Context, name string, showEnv bool) ([]Description, error) {
	var all []Description
	return all, c.callWithin(ctx, answerTimeout, http.MethodGet, fmt.Sprintf("describe?name=%s&show_env=%t", url.QueryEscape(name), showEnv), nil, &all)
}

// RunCommand sends a command such as apply, stop or down, and returns the resulting state. It returns once every process
// to be stopped has stopped, which may take as long as they do; it does not wait for started processes to become ready.
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

// callWithin returns ErrNoAnswer if the answer takes longer than timeout.
func (c *Client) callWithin(ctx context.Context, timeout time.Duration, method, path string, body, into any) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := c.callRetrying(limited, method, path, body, into)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w within %s", ErrNoAnswer, timeout)
	}
	return err
}

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
