package cmd

import (
	"testing"
	"time"

	"pgo/deploy/pgo/internal/release"
)

func TestDescribeRelease(t *testing.T) {
	now := time.Now()
	tests := []struct {
		name        string
		release     release.Release
		state, note string
	}{
		{"stored", release.Release{}, "stored", ""},
		{"on probation", release.Release{Current: true}, "current, on probation", ""},
		{"good", release.Release{Record: release.Record{PassedAt: &now}}, "good", ""},
		{"good and current", release.Release{Current: true, Record: release.Record{PassedAt: &now}}, "current, good", ""},
		{"bad", release.Release{Record: release.Record{FailedAt: &now, Failure: "exit code 1"}}, "bad", "exit code 1"},
		{"damaged", release.Release{Current: true, Damaged: "incomplete", Record: release.Record{Failure: "exit code 1"}}, "damaged", "incomplete"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if state, note := describeRelease(test.release); state != test.state || note != test.note {
				t.Errorf("got %q, %q, want %q, %q", state, note, test.state, test.note)
			}
		})
	}
}
