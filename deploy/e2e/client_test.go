package e2e

import (
	"bytes"
	cryptorand "crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

// answer is a response that was read whole.
type answer struct {
	Status int
	Header http.Header
	Body   string
	JSON   map[string]any
}

func (a answer) text(key string) string { s, _ := a.JSON[key].(string); return s }

// call makes one request through the gateway, with JSON when body is not nil.
func (s *stack) call(method, path, token string, body any) (answer, error) {
	return s.callIf("", method, path, token, body)
}

// callIf is call for a version that the entity tag names, unless it is "".
func (s *stack) callIf(ifMatch, method, path, token string, body any) (answer, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		s.secrets.addFields(text)
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, s.url(path), content)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if ifMatch != "" {
		req.Header.Set("If-Match", ifMatch)
	}
	if s.spans != nil { // every trace is kept
		req.Header.Set("traceparent", fmt.Sprintf("00-%016x%016x-%016x-01", rand.Uint64(), rand.Uint64(), rand.Uint64()))
	}
	res, err := s.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	s.secrets.addFields(text)
	a := answer{Status: res.StatusCode, Header: res.Header, Body: string(text)}
	if strings.Contains(res.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(text, &a.JSON); err != nil {
			return a, fmt.Errorf("%s: %w", text, err)
		}
	}
	return a, nil
}

// expect is call, with another status than the one wanted as an error.
func (s *stack) expect(status int, method, path, token string, body any) (answer, error) {
	a, err := s.call(method, path, token, body)
	if err == nil && a.Status != status {
		err = &otherStatus{method + " " + path, a, status}
	}
	return a, err
}

// otherStatus is an answer that was not the one wanted.
type otherStatus struct {
	call   string
	answer answer
	want   int
}

func (e *otherStatus) Error() string {
	return fmt.Sprintf("%s: got %d %s, want %d", e.call, e.answer.Status, e.answer.Body, e.want)
}

func (s *stack) want(t testing.TB, status int, method, path, token string, body any) answer {
	t.Helper()
	a, err := s.expect(status, method, path, token, body)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// inDays is a time from now as the API takes it.
func inDays(n int) string { return time.Now().AddDate(0, 0, n).UTC().Format(time.RFC3339) }

const password = "correct horse battery staple"

func newEmail() string { return strings.ToLower(cryptorand.Text()) + "@example.org" }

// journey signs somebody up, in, and out again, and returns the first thing that goes wrong.
func (s *stack) journey() error {
	email := newEmail()
	if _, err := s.expect(201, "POST", "/api/v1/auth/register", "", map[string]string{"email": email, "password": password, "name": "Ada 🦉"}); err != nil {
		return err
	}
	login, err := s.expect(200, "POST", "/api/v1/auth/login", "", map[string]string{"email": email, "password": password})
	if err != nil {
		return err
	}
	me, err := s.expect(200, "GET", "/api/v1/users/me", login.text("access_token"), nil)
	if err != nil {
		return err
	}
	if me.text("email") != email || me.text("name") != "Ada 🦉" {
		return fmt.Errorf("me is %s", me.Body)
	}
	next, err := s.expect(200, "POST", "/api/v1/auth/refresh", "", map[string]string{"refresh_token": login.text("refresh_token")})
	if err != nil {
		return err
	}
	sessions, err := s.expect(200, "GET", "/api/v1/auth/sessions", next.text("access_token"), nil)
	if err != nil {
		return err
	}
	if items, _ := sessions.JSON["items"].([]any); len(items) != 1 {
		return fmt.Errorf("sessions are %s", sessions.Body)
	}
	if _, err := s.expect(204, "POST", "/api/v1/auth/logout", next.text("access_token"), nil); err != nil {
		return err
	}
	_, err = s.expect(401, "GET", "/api/v1/users/me", next.text("access_token"), nil)
	return err
}
