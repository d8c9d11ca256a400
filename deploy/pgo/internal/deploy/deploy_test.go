package deploy

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/rollout"
	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/web"
)

func TestJudgeExit(t *testing.T) {
	tests := []struct {
		name      string
		failures  int
		isFinal   bool
		hasFailed bool
		why       string
	}{
		{"the first end", 1, false, false, ""},
		{"the second end", 2, false, true, "exit code 1, 2 times while it was on probation"},
		{"one that is not restarted", 1, true, true, "exit code 1 while it was on probation"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			hasFailed, why := (&probation{failures: test.failures}).judgeExit("exit code 1", test.isFinal)
			if hasFailed != test.hasFailed || hasFailed && why != test.why {
				t.Errorf("failed %v, %q", hasFailed, why)
			}
		})
	}
}

// A rollout gets the first result of a probation; without one the target decides itself.
func TestReportResult(t *testing.T) {
	if (&probation{}).report(nil) {
		t.Error("a result is reported to no one")
	}
	results := make(chan error, 1)
	b := &probation{result: results}
	first := errors.New("first")
	if !b.report(first) || !b.report(errors.New("second")) {
		t.Error("a result is not reported")
	}
	if got := <-results; !errors.Is(got, first) {
		t.Errorf("got %v", got)
	}
}

func TestReasonOf(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"with a reason", fmt.Errorf("release x: %w", refusal{web.ReasonGate, errors.New("no")}), web.ReasonGate},
		{"a preflight", fmt.Errorf("user: %w", &release.PreflightError{}), web.ReasonCheck},
		{"a full disk", syscall.ENOSPC, web.ReasonOther},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := reasonOf(test.err); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestErrFailedBefore(t *testing.T) {
	now := time.Now()
	r := release.Release{Name: "user", Record: release.Record{
		Verification: release.Verification{SHA256: "0123456789abcdef"}, FailedAt: &now, Failure: "exit code 1",
	}}
	if err := errFailedBefore(r); reasonOf(err) != web.ReasonFailedBefore {
		t.Errorf("a release that failed: %v", err)
	}
	r.Record.Failure = rollout.RolledBackByCommand
	if err := errFailedBefore(r); !errors.Is(err, errUnchanged) {
		t.Errorf("a release that a person has rolled back from: %v", err)
	}
}

func TestLastMessage(t *testing.T) {
	tests := []struct{ name, output, want string }{
		{"nothing", "", "it said nothing"},
		{"text", "one\n two \n", "two"},
		{"a log line", "one\n" + `{"level":"error","msg":"schema 7 is too new"}` + "\n", "schema 7 is too new"},
		{"JSON without a message", `{"level":"error"}`, `{"level":"error"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tail := &state.Tail{}
			if _, err := tail.Write([]byte(test.output)); err != nil {
				t.Fatal(err)
			}
			if got := lastMessage(tail); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
