package httpx_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgo/pkg/httpx"
	"pgo/pkg/problem"
)

func TestStatusOf(t *testing.T) {
	for kind, want := range map[problem.Kind]int{
		problem.KindMalformed: 400, problem.KindUnauthenticated: 401, problem.KindForbidden: 403, problem.KindNotFound: 404,
		problem.KindUnsupportedMethod: 405, problem.KindConflict: 409, problem.KindGone: 410, problem.KindPreconditionFailed: 412,
		problem.KindTooLarge: 413, problem.KindUnsupportedType: 415, problem.KindInvalid: 422, problem.KindRateLimited: 429,
		problem.KindInternal: 500, problem.KindUnavailable: 503, "": 500, "unknown": 500,
	} {
		if got := httpx.StatusOf(kind); got != want {
			t.Errorf("%q has status %d, want %d", kind, got, want)
		}
	}
}

func TestProblemBodyHidesTheCause(t *testing.T) {
	taken := problem.New(problem.KindConflict, "email_taken", "Taken.")
	for _, tc := range []struct {
		name   string
		err    error
		status int
	}{
		{"a problem", taken, 409},
		{"a wrapped problem", fmt.Errorf("create user: %w", taken), 409},
		{"a problem with a cause", taken.WithCause(errors.New("duplicate key")), 409},
		{"any other error", errors.New("SELECT secret FROM t"), 500},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := httpx.ProblemBody(problem.FromError(tc.err), "/x", "r", "t")
			if b.Status != tc.status || b.Title == "" || b.Instance != "/x" || b.RequestID != "r" || b.TraceID != "t" {
				t.Errorf("got %+v, want status %d", b, tc.status)
			}
			text, err := json.Marshal(b)
			if err != nil {
				t.Fatal(err)
			}
			if s := string(text); strings.Contains(s, "SELECT") || strings.Contains(s, "duplicate") {
				t.Errorf("the body shows the cause: %s", s)
			}
		})
	}
}
