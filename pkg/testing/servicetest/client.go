package servicetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Request is a call. A Body of type string or []byte is sent unchanged, any other as JSON.
type Request struct {
	Method, Path, Token string
	Body                any
	Header              http.Header // over those that Do sets
}

// Response is an answer that was read whole.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	JSON   map[string]any // the body, where it is a JSON object
}

// Code returns a problem's code.
func (r Response) Code() string { return r.Text("code") }

// Text returns a text field, "" for any other.
func (r Response) Text(key string) string { s, _ := r.JSON[key].(string); return s }

// Items returns a page's items.
func (r Response) Items() []map[string]any {
	list, _ := r.JSON["items"].([]any)
	items := make([]map[string]any, len(list))
	for i := range list {
		items[i], _ = list[i].(map[string]any)
	}
	return items
}

// Do makes a call. Only one that gets no answer fails the test.
func (s *Instance) Do(t testing.TB, r Request) Response {
	t.Helper()
	res, err := s.Try(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.Path, err)
	}
	return res
}

// Try is Do with an error for a call without an answer.
func (s *Instance) Try(r Request) (Response, error) {
	var body io.Reader
	switch b := r.Body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	case []byte:
		body = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return Response{}, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequest(r.Method, s.Base+r.Path, body)
	if err != nil {
		return Response{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.Token != "" {
		req.Header.Set("Authorization", "Bearer "+r.Token)
	}
	for k, v := range r.Header {
		req.Header[k] = v
	}
	res, err := s.client.Do(req)
	if err != nil {
		return Response{}, err
	}
	defer res.Body.Close()
	out := Response{Status: res.StatusCode, Header: res.Header}
	if out.Body, err = io.ReadAll(res.Body); err != nil {
		return out, err
	}
	if strings.Contains(res.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(out.Body, &out.JSON); err != nil {
			return out, fmt.Errorf("%s: %w", out.Body, err)
		}
	}
	return out, nil
}

// Expect makes a call and fails the test unless the answer has the status and, for an error, the code. An error must be a
// complete problem.
func (s *Instance) Expect(t testing.TB, r Request, status int, code string) Response {
	t.Helper()
	res := s.Do(t, r)
	if res.Status != status || res.Code() != code && (status >= 400 || code != "") {
		t.Fatalf("%s %s: got %d %s, want %d %s", r.Method, r.Path, res.Status, res.Body, status, code)
	}
	if status >= 400 {
		AssertProblem(t, r, res)
	}
	if (status == http.StatusCreated) != (res.Header.Get("Location") != "") || (status == http.StatusUnauthorized) != (res.Header.Get("WWW-Authenticate") != "") {
		t.Errorf("%s %s: %d with Location %q and WWW-Authenticate %q", r.Method, r.Path, status, res.Header.Get("Location"), res.Header.Get("WWW-Authenticate"))
	}
	return res
}

// AssertProblem fails the test unless the answer is a problem (RFC 9457) with every promised field.
func AssertProblem(t testing.TB, r Request, res Response) {
	t.Helper()
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("%s %s: an error of type %s: %s", r.Method, r.Path, got, res.Body)
		return
	}
	for _, field := range []string{"type", "title", "detail", "instance", "code", "request_id", "trace_id"} {
		if res.Text(field) == "" {
			t.Errorf("%s %s: the problem lacks %s: %s", r.Method, r.Path, field, res.Body)
		}
	}
	if res.JSON["status"] != float64(res.Status) || res.Text("request_id") != res.Header.Get("X-Request-ID") {
		t.Errorf("%s %s: %d with request id %s has the body %s", r.Method, r.Path, res.Status, res.Header.Get("X-Request-ID"), res.Body)
	}
	fields, _ := res.JSON["errors"].([]any)
	if (res.Status == http.StatusUnprocessableEntity) != (len(fields) > 0) {
		t.Errorf("%s %s: %d with errors %v", r.Method, r.Path, res.Status, fields)
	}
	for _, f := range fields {
		f, _ := f.(map[string]any)
		if f["field"] == nil || f["code"] == nil || f["message"] == nil {
			t.Errorf("%s %s: an error without field, code or message: %s", r.Method, r.Path, res.Body)
		}
	}
}

// Parallel makes the requests concurrently and returns the answers in their order.
func (s *Instance) Parallel(t testing.TB, requests ...Request) []Response {
	t.Helper()
	answers, errs := make([]Response, len(requests)), make([]error, len(requests))
	var ready, done sync.WaitGroup
	ready.Add(len(requests))
	for i, r := range requests {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			answers[i], errs[i] = s.Try(r)
		})
	}
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return answers
}

// CountStatuses returns how often each status is among the answers.
func CountStatuses(answers []Response) map[int]int {
	count := map[int]int{}
	for _, a := range answers {
		count[a.Status]++
	}
	return count
}
