package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// WeCom's error codes that are answered differently from others.
const (
	codeOK          = 0
	codeRateLimited = 45009 // over 20 messages a minute
	codeTooLong     = 40058 // also for a message that is invalid otherwise
	codeBusy        = -1
	codeBadKey      = 93000
)

// A Refusal is why a message was not taken. Temporary ones are worth another try.
type Refusal struct {
	Reason    string // one of reasons
	Temporary bool
	Err       error
}

func (r *Refusal) Error() string { return r.Reason + ": " + r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// refusalReasons returns all values of the metrics' label.
func refusalReasons() []string {
	return []string{"rate_limited", "too_long", "bad_key", "rejected", "unreachable", "overflow", "truncated"}
}

// Robot sends messages to one WeCom group.
type Robot struct {
	URL    string
	Key    func() (string, error)
	Client *http.Client
	// Pauses between tries of one message while it is refused for the time being.
	Pauses []time.Duration
	// Tried is called after each try with its outcome: "ok" or a Refusal's reason.
	Tried func(result string)
}

// ErrNoKey says that no robot is set up.
var ErrNoKey = errors.New("no robot's key is set up")

// Send delivers text and tries again for the time being. Other errors than ErrNoKey and ctx's are *Refusal.
func (r Robot) Send(ctx context.Context, text string) error {
	key, err := r.Key()
	if err != nil {
		return &Refusal{"bad_key", true, err}
	}
	if key == "" {
		return ErrNoKey
	}
	for try := 0; ; try++ {
		err := r.sendOnce(ctx, key, text)
		var refusal *Refusal
		switch {
		case err == nil:
			r.Tried("ok")
			return nil
		case errors.As(err, &refusal):
			r.Tried(refusal.Reason)
		}
		if refusal == nil || !refusal.Temporary || try == len(r.Pauses) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(r.Pauses[try]):
		}
	}
}

func (r Robot) sendOnce(ctx context.Context, key, text string) error {
	body, err := json.Marshal(map[string]any{"msgtype": "markdown", "markdown": map[string]string{"content": text}})
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+"?key="+url.QueryEscape(key), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make a request: %w", withoutURL(err))
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.Client.Do(req)
	if err != nil {
		return &Refusal{"unreachable", true, withoutURL(err)}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return &Refusal{"unreachable", true, withoutURL(err)}
	}
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return &Refusal{"unreachable", true, fmt.Errorf("WeCom answers %s", resp.Status)}
	}
	if resp.StatusCode != http.StatusOK {
		return &Refusal{"rejected", false, fmt.Errorf("WeCom answers %s", resp.Status)}
	}
	// A failure is a 200 as well: only errcode tells.
	var said struct {
		Code *int   `json:"errcode"`
		Text string `json:"errmsg"`
	}
	if err := json.Unmarshal(answer, &said); err != nil || said.Code == nil {
		return &Refusal{"unreachable", true, errors.New("WeCom's answer has no errcode: something in between answered")}
	}
	err = fmt.Errorf("WeCom says errcode %d: %s", *said.Code, said.Text)
	switch *said.Code {
	case codeOK:
		return nil
	case codeRateLimited:
		return &Refusal{"rate_limited", true, err}
	case codeBusy:
		return &Refusal{"unreachable", true, err}
	case codeTooLong:
		return &Refusal{"too_long", false, err}
	case codeBadKey:
		return &Refusal{"bad_key", false, err}
	}
	return &Refusal{"rejected", false, err}
}

// withoutURL takes the address out of an error: it holds the robot's key.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
