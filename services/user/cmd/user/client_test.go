package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgo/pkg/testkit"
)

// response is an answer that was read whole.
type response struct {
	Status int
	Header http.Header
	Body   []byte
	JSON   map[string]any
}

func (r response) code() string { s, _ := r.JSON["code"].(string); return s }

func (r response) text(key string) string { s, _ := r.JSON[key].(string); return s }

// request is a call; Body is sent as it is when it is a string or bytes, else as JSON.
type request struct {
	Method, Path, Token string
	Body                any
	Header              http.Header
}

// in returns the service for a subtest: what goes wrong is then the subtest's failure.
func (s *service) in(t testing.TB) *service {
	c := *s
	c.t = t
	return &c
}

func (s *service) do(r request) response {
	s.t.Helper()
	res, err := s.try(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return res
}

func (s *service) try(r request) (response, error) {
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
			return response{}, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequest(r.Method, s.base+r.Path, body)
	if err != nil {
		return response{}, err
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
		return response{}, err
	}
	defer res.Body.Close()
	out := response{Status: res.StatusCode, Header: res.Header}
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

// want fails the test unless the answer has the status and, for an error, the code.
func (s *service) want(r request, status int, code string) response {
	s.t.Helper()
	res := s.do(r)
	if res.Status != status || res.code() != code {
		s.t.Fatalf("%s %s: got %d %s, want %d %s", r.Method, r.Path, res.Status, res.Body, status, code)
	}
	if status >= 400 {
		s.isProblem(r, res)
	}
	return res
}

// isProblem fails the test unless the answer is a problem with every field that is promised.
func (s *service) isProblem(r request, res response) {
	s.t.Helper()
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		s.t.Errorf("%s %s: an error of type %s: %s", r.Method, r.Path, got, res.Body)
		return
	}
	for _, field := range []string{"type", "title", "detail", "instance", "code", "request_id", "trace_id"} {
		if res.text(field) == "" {
			s.t.Errorf("%s %s: the problem lacks %s: %s", r.Method, r.Path, field, res.Body)
		}
	}
	if res.JSON["status"] != float64(res.Status) || res.text("request_id") != res.Header.Get("X-Request-ID") {
		s.t.Errorf("%s %s: %d with request id %s is told as %s", r.Method, r.Path, res.Status, res.Header.Get("X-Request-ID"), res.Body)
	}
	fields, _ := res.JSON["errors"].([]any)
	if (res.Status == http.StatusUnprocessableEntity) != (len(fields) > 0) {
		s.t.Errorf("%s %s: %d with errors %v", r.Method, r.Path, res.Status, fields)
	}
	for _, f := range fields {
		f, _ := f.(map[string]any)
		if f["field"] == nil || f["code"] == nil || f["message"] == nil {
			s.t.Errorf("%s %s: an error without field, code or message: %s", r.Method, r.Path, res.Body)
		}
	}
}

const password = "correct horse battery staple"

// cheapHash is the password's hash with the smallest parameters. A real one costs ten times more under the race
// detector than otherwise, and these tests sign in hundreds of times.
const cheapHash = "$argon2id$v=19$m=8,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$XdTJKPvVpEdCNu922dgwQXj+XfOITS04PpG3cDMn5sE"

// person is somebody who has signed up.
type person struct {
	ID, Email, Access, Refresh string
}

// signUp registers somebody and signs them in, with a hash that costs little from then on.
func (s *service) signUp(name string) person {
	s.t.Helper()
	p := person{Email: fmt.Sprintf("%s-%s@example.org", strings.ToLower(name), strings.ToLower(rand.Text()[:8]))}
	p.ID = s.want(request{Method: "POST", Path: "/api/v1/auth/register", Body: map[string]string{"email": p.Email, "password": password, "name": name}}, 201, "").text("id")
	if _, err := s.db.Exec("UPDATE users SET password_hash = ? WHERE id = ?", cheapHash, p.ID); err != nil {
		s.t.Fatal(err)
	}
	return s.signIn(p, password)
}

func (s *service) signIn(p person, pw string) person {
	s.t.Helper()
	res := s.want(request{Method: "POST", Path: "/api/v1/auth/login", Body: map[string]string{"email": p.Email, "password": pw}}, 200, "")
	p.Access, p.Refresh = res.text("access_token"), res.text("refresh_token")
	return p
}

// admin makes the world's admin by the command line and signs in.
func (w *world) admin(t testing.TB, s *service, email string) person {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"admin", "create", "--email", email, "--password-file", file}, w.environ, &out, &out); code != 0 {
		t.Fatalf("admin create ends with %d: %s", code, &out)
	}
	p := s.signIn(person{Email: email}, password)
	p.ID = s.want(request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}, 200, "").text("id")
	return p
}

// dies waits until the token is refused, and fails after a second: the time that is promised.
func (s *service) dies(what, token string) {
	s.t.Helper()
	began := time.Now()
	testkit.Eventually(s.t, what, func() error {
		res := s.do(request{Method: "GET", Path: "/api/v1/users/me", Token: token})
		if res.Status != http.StatusUnauthorized {
			return fmt.Errorf("the token still works: %d", res.Status)
		}
		return nil
	})
	if took := time.Since(began); took > time.Second {
		s.t.Errorf("%s: the token died after %v, later than 1 s", what, took)
	}
}

// together makes the requests at the same time and returns the answers in their order.
func (s *service) together(requests ...request) []response {
	s.t.Helper()
	answers, errs := make([]response, len(requests)), make([]error, len(requests))
	var ready, done sync.WaitGroup
	ready.Add(len(requests))
	for i, r := range requests {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			answers[i], errs[i] = s.try(r)
		})
	}
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		s.t.Fatal(err)
	}
	return answers
}

// statuses returns how often each status is among the answers.
func statuses(answers []response) map[int]int {
	count := map[int]int{}
	for _, a := range answers {
		count[a.Status]++
	}
	return count
}
