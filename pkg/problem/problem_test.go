package problem_test

import (
	"errors"
	"fmt"
	"testing"

	"pgo/pkg/problem"
)

func TestFromError(t *testing.T) {
	taken := problem.New(problem.KindConflict, "email_taken", "Taken.")
	for _, tc := range []struct {
		name string
		err  error
		kind problem.Kind
		code string
	}{
		{"a problem", taken, problem.KindConflict, "email_taken"},
		{"a wrapped problem", fmt.Errorf("create user: %w", taken), problem.KindConflict, "email_taken"},
		{"a problem with a cause", taken.WithCause(errors.New("duplicate key")), problem.KindConflict, "email_taken"},
		{"any other error", errors.New("SELECT secret FROM t"), problem.KindInternal, "internal"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := problem.FromError(tc.err)
			if p.Kind != tc.kind || p.Code != tc.code {
				t.Errorf("got %s %s, want %s %s", p.Kind, p.Code, tc.kind, tc.code)
			}
			if !errors.Is(p, tc.err) && tc.kind == problem.KindInternal {
				t.Error("the cause is lost")
			}
		})
	}
}

func TestIsComparesCodes(t *testing.T) {
	a := problem.New(problem.KindConflict, "email_taken", "A")
	if !errors.Is(fmt.Errorf("x: %w", a.WithCause(errors.New("y"))), problem.New(problem.KindConflict, "email_taken", "B")) {
		t.Error("errors.Is does not hold for the same code")
	}
	if errors.Is(a, problem.New(problem.KindConflict, "last_admin", "A")) {
		t.Error("errors.Is holds for another code")
	}
}

func TestInvalidWithoutFieldsIsNil(t *testing.T) {
	if err := problem.Invalid(); err != nil {
		t.Errorf("got %v", err)
	}
}
