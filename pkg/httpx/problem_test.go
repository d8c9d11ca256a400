package httpx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"pgo/pkg/httpx"
	"pgo/pkg/problem"
	"pgo/pkg/testing/testkit"
)

func TestWriteProblem(t *testing.T) {
	leaky := errors.New("SELECT secret FROM t: goroutine 1 main.go:7")
	fields := []problem.Field{{Field: "name", Code: "required", Message: "must be given"}}
	for _, tc := range []struct {
		name       string
		err        error
		status     int
		code       string
		retryAfter string
		bearer     bool
		errors     []problem.Field
	}{
		{name: "a problem", err: problem.New(problem.KindConflict, "email_taken", "Taken."), status: 409, code: "email_taken"},
		{name: "a wrapped problem", err: fmt.Errorf("secret: %w", problem.NotFound().WithCause(leaky)), status: 404, code: "not_found"},
		{name: "fields", err: problem.Invalid(fields...), status: 422, code: "validation_failed", errors: fields},
		{name: "any other error", err: leaky, status: 500, code: "internal"},
		{name: "unauthenticated", err: problem.Unauthenticated("Sign in."), status: 401, code: "unauthenticated", bearer: true},
		{name: "another 401", err: problem.New(problem.KindUnauthenticated, "invalid_credentials", "No."), status: 401, code: "invalid_credentials", bearer: true},
		{name: "unavailable", err: problem.Unavailable().WithCause(leaky), status: 503, code: "unavailable", retryAfter: "1"},
		{name: "part of a second", err: problem.New(problem.KindRateLimited, "too_many_attempts", "Wait.").WithRetryAfter(1100 * time.Millisecond), status: 429, code: "too_many_attempts", retryAfter: "2"},
		{name: "deadline", err: fmt.Errorf("secret: %w", context.DeadlineExceeded), status: 503, code: "unavailable", retryAfter: "1"},
		{name: "a problem because of a deadline", err: problem.New(problem.KindUnavailable, "upstream_slow", "Slow.").WithCause(context.DeadlineExceeded), status: 503, code: "upstream_slow"},
		{name: "cancelled, but not by the caller", err: context.Canceled, status: 500, code: "internal"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newEdge(t, nil, nil)
			e.GET("/x", httpx.Handle(func(*gin.Context) error { return tc.err }))
			w := e.do(http.MethodGet, "/x?y=1", "")
			p := readProblem(t, w.Header(), tc.status, w.Body.Bytes())
			if w.Code != tc.status || p.Code != tc.code || p.Instance != "/x" {
				t.Errorf("got %d %s at %s, want %d %s", w.Code, p.Code, p.Instance, tc.status, tc.code)
			}
			if got := w.Header().Get("Retry-After"); got != tc.retryAfter {
				t.Errorf("Retry-After %q, want %q", got, tc.retryAfter)
			}
			if got := w.Header().Get("WWW-Authenticate") != ""; got != tc.bearer {
				t.Errorf("WWW-Authenticate is there: %v", got)
			}
			if diff := cmp.Diff(tc.errors, p.Errors); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			line := e.logs.FilterMessage("request").All()
			if len(line) != 1 || line[0].ContextMap()["error"] != tc.err.Error() {
				t.Errorf("the log does not have the error whole: %v", line)
			}
		})
	}
}

// A 401 has a challenge (RFC 9110). It names the token as the reason only if one was sent and is the reason (RFC 6750).
func TestChallenge(t *testing.T) {
	const plain, invalid = `Bearer realm="pgo"`, `Bearer realm="pgo", error="invalid_token"`
	for _, tc := range []struct {
		name, authorization string
		err                 error
		want                string
	}{
		{"no token", "", problem.Unauthenticated("Sign in."), plain},
		{"a bad token", "Bearer x", problem.Unauthenticated("Sign in."), invalid},
		{"a wrong password", "", problem.New(problem.KindUnauthenticated, "invalid_credentials", "No."), plain},
		{"a wrong password with a good token", "Bearer x", problem.New(problem.KindUnauthenticated, "invalid_credentials", "No."), plain},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newEdge(t, nil, nil)
			e.GET("/x", httpx.Handle(func(*gin.Context) error { return tc.err }))
			w := e.do(http.MethodGet, "/x", "", "Authorization", tc.authorization)
			if got := w.Header().Get("WWW-Authenticate"); w.Code != 401 || got != tc.want {
				t.Errorf("got %d %s, want 401 %s", w.Code, got, tc.want)
			}
		})
	}
}

func TestUnknownPathsMethodsAndPanics(t *testing.T) {
	e := newEdge(t, nil, nil)
	e.POST("/x", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	e.GET("/panic", func(*gin.Context) { panic("secret at main.go:7") })
	e.GET("/nil", func(*gin.Context) { var p *problem.Error; _ = p.Kind })
	for _, tc := range []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"GET", "/nothing", 404, "not_found", ""},
		{"GET", "/x/", 404, "not_found", ""},
		{"POST", "//x", 404, "not_found", ""},
		{"GET", "/x", 405, "method_not_allowed", "POST"},
		{"BREW", "/x", 405, "method_not_allowed", "POST"},
		{"GET", "/panic", 500, "internal", ""},
		{"GET", "/nil", 500, "internal", ""},
	} {
		t.Run(tc.method+tc.path, func(t *testing.T) {
			w := e.do(tc.method, tc.path, "")
			p := readProblem(t, w.Header(), tc.status, w.Body.Bytes())
			if w.Code != tc.status || p.Code != tc.code || w.Header().Get("Allow") != tc.allow {
				t.Errorf("got %d %s, Allow %q", w.Code, p.Code, w.Header().Get("Allow"))
			}
		})
	}
	if n := e.logs.FilterMessage("panic in a handler").Len(); n != 2 {
		t.Errorf("%d panics in the log, want 2", n)
	}
}

func TestRequestDeadline(t *testing.T) {
	e := newEdge(t, nil, func(c *httpx.Config) { c.RequestTimeout = 20 * time.Millisecond })
	e.GET("/slow", httpx.Handle(func(c *gin.Context) error {
		<-c.Done() // the request's, also through the *gin.Context
		return c.Err()
	}))
	w := e.do(http.MethodGet, "/slow", "")
	if p := readProblem(t, w.Header(), 503, w.Body.Bytes()); w.Code != 503 || p.Code != "unavailable" {
		t.Errorf("got %d %s", w.Code, p.Code)
	}
}

func TestClientGone(t *testing.T) {
	e := newEdge(t, nil, nil)
	inside := make(chan struct{})
	e.GET("/slow", httpx.Handle(func(c *gin.Context) error {
		close(inside)
		<-c.Done()
		return fmt.Errorf("read the rows: %w", c.Err())
	}))
	srv := httptest.NewServer(e)
	defer srv.Close()
	ctx, leave := context.WithCancel(context.Background())
	go func() { <-inside; leave() }()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/slow", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := srv.Client().Do(r); err == nil {
		res.Body.Close()
		t.Fatal("an answer came")
	}
	testkit.Eventually(t, "the request is counted as the client's", func() error {
		if n := e.requests(t)["GET /slow 499"]; n != 1 {
			return fmt.Errorf("%v", e.requests(t))
		}
		return nil
	})
	for _, l := range e.logs.All() {
		if l.Level > zap.InfoLevel {
			t.Errorf("a client that leaves is logged as %s: %s", l.Level, l.Message)
		}
	}
}

func TestUnfinishedAnswerIsCutOff(t *testing.T) {
	e := newEdge(t, nil, nil)
	begin := func(c *gin.Context) {
		c.Writer.WriteHeader(http.StatusOK)
		_, _ = c.Writer.WriteString("a,b\n1,")
		c.Writer.Flush()
	}
	e.GET("/error", httpx.Handle(func(c *gin.Context) error { begin(c); return errors.New("the rows ended early") }))
	e.GET("/panic", func(c *gin.Context) { begin(c); panic("x") })
	e.GET("/abort", func(c *gin.Context) { begin(c); panic(http.ErrAbortHandler) })
	srv := httptest.NewServer(e)
	defer srv.Close()
	for _, path := range []string{"/error", "/panic", "/abort"} {
		res, err := srv.Client().Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err == nil {
			t.Errorf("%s: looks whole: %q", path, text)
		}
		testkit.Eventually(t, path+" is counted", func() error {
			if e.requests(t)["GET "+path+" 200"] != 1 {
				return fmt.Errorf("%v", e.requests(t))
			}
			return nil
		})
	}
}
