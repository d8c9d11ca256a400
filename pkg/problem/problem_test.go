package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"pgo/pkg/problem"
)

func TestFrom(t *testing.T) {
	taken := problem.New(http.StatusConflict, "email_taken", "Taken.")
	for _, tc := range []struct {
		name   string
		err    error
		status int
		code   string
	}{
		{"a problem", taken, 409, "email_taken"},
		{"a wrapped problem", fmt.Errorf("create user: %w", taken), 409, "email_taken"},
		{"a problem with a cause", taken.WithCause(errors.New("duplicate key")), 409, "email_taken"},
		{"any other error", errors.New("SELECT secret FROM t"), 500, "internal"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := problem.FromError(tc.err)
			if p.Status != tc.status || p.Code != tc.code {
				t.Errorf("got %d %s, want %d %s", p.Status, p.Code, tc.status, tc.code)
			}
			if !errors.Is(p, tc.err) && tc.status == 500 {
				t.Error("the cause is lost")
			}
			body, err := json.Marshal(p.Body("/x", "r", "t"))
			if err != nil {
				t.Fatal(err)
			}
			if s := string(body); strings.Contains(s, "SELECT") || strings.Contains(s, "duplicate") {
				t.Errorf("the body shows the cause: %s", s)
			}
		})
	}
}

func TestIsComparesCodes(t *testing.T) {
	a := problem.New(409, "email_taken", "A")
	if !errors.Is(fmt.Errorf("x: %w", a.WithCause(errors.New("y"))), problem.New(409, "email_taken", "B")) {
		t.Error("same code, not the same")
	}
	if errors.Is(a, problem.New(409, "last_admin", "A")) {
		t.Error("other code, the same")
	}
}

func TestInvalidWithoutFieldsIsNil(t *testing.T) {
	if err := problem.Invalid(); err != nil {
		t.Errorf("got %v", err)
	}
}
