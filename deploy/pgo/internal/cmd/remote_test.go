package cmd

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/ship"
)

func TestRunOnEachHost(t *testing.T) {
	var out bytes.Buffer
	e := &env{stdout: &out, stderr: &out, getenv: func(string) string { return "" }}
	r := remote{hosts: []string{"one", "two", "three"}}
	r.ship.Claims = "me"
	err := r.runOnEachHost(t.Context(), e, func(_ context.Context, host string, o ship.Options) error {
		o.Report(ship.Event{Host: host, Process: "web", Event: "sent", Seconds: 1.23})
		if host == "two" {
			return errors.New("no route")
		}
		return nil
	})
	if err == nil || err.Error() != "no route; nothing was done with three" {
		t.Errorf("the error is %v", err)
	}
	if want := "one  web          sent        (1.2 s)\ntwo  web          sent        (1.2 s)\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestSummarize(t *testing.T) {
	change := audit.Change{Process: "web", From: audit.Release{SHA256: strings.Repeat("a", 64), Version: "v1"}, To: audit.Release{SHA256: strings.Repeat("b", 64), Version: "v2"}}
	same := audit.Change{Process: "api", From: change.From, To: change.From}
	tests := []struct {
		name   string
		result audit.Result
		set    []audit.Change
		dryRun bool
		want   string
	}{
		{"a change", audit.Done, []audit.Change{change, same}, false, "done in 2.0 s: web v1 (aaaaaaaaaaaa) → v2 (bbbbbbbbbbbb)"},
		{"no change", audit.Done, []audit.Change{same}, false, "done in 2.0 s: nothing to do"},
		{"a dry run", audit.Done, []audit.Change{change}, true, "nothing was changed; it would be: web v1 (aaaaaaaaaaaa) → v2 (bbbbbbbbbbbb)"},
		{"refused", audit.Refused, nil, false, "refused in 2.0 s"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			event := ship.Event{Event: "result", Seconds: 2, DryRun: test.dryRun, Result: &audit.Entry{Result: test.result, Changes: test.set}}
			if got := summarize(event); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
