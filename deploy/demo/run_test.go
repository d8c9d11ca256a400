package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestRunRefuses(t *testing.T) {
	nobody := "http://127.0.0.1:1"
	half := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "task") {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(half.Close)
	withEnv := func(content string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "env"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	asContainers := withEnv("GATEWAY_HTTP=127.0.0.1:2\n")
	for name, content := range map[string]string{"mode": "docker\n", "docker/compose.env": "GATEWAY_HTTP=127.0.0.1:1\n"} {
		path := filepath.Join(asContainers, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		args []string
		home string
		code int
		says string
	}{
		{"help", []string{"--help"}, "", 0, "usage: demo"},
		{"an unknown flag", []string{"--fast"}, "", 64, "-fast"},
		{"an argument", []string{"now"}, "", 64, `unexpected argument "now"`},
		{"a strange address", []string{"--url", "gateway:8080"}, "", 64, "an address such as http://127.0.0.1:8080"},
		{"a strange duration", []string{"--within", "0s"}, "", 64, "a duration above 0"},
		{"nothing is set up", nil, "/nonexistent", 69, "make up brings it up"},
		{"an env file without a gateway", nil, withEnv("PGO_ENV=dev\n"), 69, "does not name a gateway"},
		{"nothing answers", []string{"--url", nobody}, "", 69, "make up brings it up"},
		{"nothing answers where the env file says", nil, withEnv("# ad hoc\nGATEWAY_HTTP=127.0.0.1:1\n"), 69, "127.0.0.1:1"},
		{"nothing answers where the containers are", nil, asContainers, 69, "127.0.0.1:1"},
		{"a service is unavailable", []string{"--url", half.URL}, "", 69, "task answers 502"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			code := run(t.Context(), tc.args, func(string) string { return tc.home }, &out, &out)
			if code != tc.code || !strings.Contains(out.String(), tc.says) {
				t.Errorf("exit code %d, output %q, want %d and %q", code, &out, tc.code, tc.says)
			}
		})
	}
}

func TestRunIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.Copy(io.Discard, r.Body) // else it is not seen that the caller has gone
			cancel()
			<-r.Context().Done()
		}
	}))
	t.Cleanup(s.Close)
	var out bytes.Buffer
	if code := run(ctx, []string{"--url", s.URL}, func(string) string { return "" }, &out, &out); code != 130 || !strings.Contains(out.String(), "interrupted") {
		t.Errorf("exit code %d, output %q", code, &out)
	}
}

func TestCallTriesAgainWhatWasNotDone(t *testing.T) {
	tests := []struct {
		name    string
		method  string
		answers []int // one after the other; the last one stays
		calls   int32
		fails   int // the problem's status
	}{
		{"at once", "POST", []int{201}, 1, 0},
		{"too many attempts", "POST", []int{429, 201}, 2, 0},
		{"a service without its database", "POST", []int{503, 503, 201}, 3, 0},
		{"one that may be sent twice and was lost", "PUT", []int{502, 504, 200}, 3, 0},
		{"one that may not", "POST", []int{502}, 1, 502},
		{"refused", "POST", []int{409}, 1, 409},
		{"not there", "GET", []int{404}, 1, 404},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var calls atomic.Int32
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				status := tc.answers[min(int(calls.Add(1)), len(tc.answers))-1]
				w.WriteHeader(status)
				_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "code": "some_code", "detail": "Why."})
			}))
			t.Cleanup(s.Close)
			err := newAPI(s.URL, 10*time.Second).call(t.Context(), tc.method, "/x", "token", nil, nil)
			var p *problem
			if errors.As(err, &p) != (tc.fails != 0) || (p != nil && (p.Status != tc.fails || p.Code != "some_code")) || calls.Load() != tc.calls {
				t.Errorf("after %d calls: %v", calls.Load(), err)
			}
		})
	}
}

func TestCallDoesNotWaitForWhatIsTooFar(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "900")
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"status":429,"code":"too_many_attempts","detail":"Later."}`)
	}))
	t.Cleanup(s.Close)
	err := newAPI(s.URL, 5*time.Second).call(t.Context(), "POST", "/login", "", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "POST /login: 429 too_many_attempts: Later.") {
		t.Errorf("error %v", err)
	}
}

func TestEventually(t *testing.T) {
	a := newAPI("http://127.0.0.1:1", 300*time.Millisecond)
	var n int
	if err := a.eventually(t.Context(), "x", func() error {
		if n++; n < 3 {
			return &problem{Status: 404}
		}
		return nil
	}, 404); err != nil || n != 3 {
		t.Errorf("after %d: %v", n, err)
	}
	if err := a.eventually(t.Context(), "x", func() error { return &problem{Status: 409} }, 404); err == nil {
		t.Error("another problem was waited for")
	}
	if err := a.eventually(t.Context(), "the moon", func() error { return errNotYet }); err == nil || !strings.Contains(err.Error(), "the moon: not within 300ms") {
		t.Errorf("error %v", err)
	}
}

func TestEachStopsAtTheFirstFailure(t *testing.T) {
	var out bytes.Buffer
	p := progress{w: &out, every: time.Hour}
	var calls atomic.Int32
	if err := p.runEach(t.Context(), "all", 100, func(context.Context, int) error { calls.Add(1); return nil }); err != nil || calls.Load() != 100 {
		t.Errorf("%d calls, %v", calls.Load(), err)
	}
	if out.String() != "all: 100 of 100\n" {
		t.Errorf("says %q", &out)
	}
	broken := errors.New("broken")
	calls.Store(0)
	err := p.runEach(t.Context(), "some", 100, func(ctx context.Context, i int) error {
		calls.Add(1)
		switch {
		case i == 3:
			return broken
		case i > 3:
			<-ctx.Done() // else they may all be through before the failure is known
		}
		return nil
	})
	if !errors.Is(err, broken) || calls.Load() > 20 {
		t.Errorf("%d calls, %v", calls.Load(), err)
	}
}

func TestPeopleHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for i := range 2 + teachers + students {
		if name := nameAt(i); seen[name] {
			t.Errorf("%s is there twice", name)
		} else {
			seen[name] = true
		}
	}
}
