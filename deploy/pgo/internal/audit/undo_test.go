package audit

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestPlanUndo(t *testing.T) {
	tests := []struct {
		name    string
		entries string // KIND RESULT PROCESS:FROM>TO..., the first first
		runs    string
		want    string
		err     error
	}{
		{name: "nothing was ever deployed", runs: "user:b", want: "none"},
		{name: "the last deploy", entries: "deploy done user:a>b school:c>d", runs: "user:b school:d", want: "user:a school:c"},
		{name: "not what stayed the same", entries: "deploy done user:a>b school:c>c", runs: "user:b school:c", want: "user:a"},
		{name: "nothing has changed", entries: "deploy done user:a>a", runs: "user:a", want: ""},
		{name: "one that is replaced is not undone", entries: "deploy done user:a>b", runs: "user:x", want: "none"},
		{name: "nor one of which a part is", entries: "deploy done user:a>b school:c>d", runs: "user:b school:x", want: "none"},
		{name: "one before it, which runs again", entries: "deploy done user:a>b, deploy done user:b>c, rollback done user:c>b", runs: "user:b", want: "user:a"},
		{name: "not one that failed", entries: "deploy done user:a>b, deploy rolled-back user:b>c", runs: "user:b", want: "user:a"},
		{name: "nothing ran before", entries: "deploy done user:>b", runs: "user:b", err: ErrNoPrevious},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := Log(filepath.Join(t.TempDir(), "audit.jsonl"))
			for line := range strings.SplitSeq(test.entries, ", ") {
				words := strings.Fields(line)
				if len(words) == 0 {
					continue
				}
				e := Entry{Kind: words[0], Result: Result(words[1])}
				for _, word := range words[2:] {
					process, way, _ := strings.Cut(word, ":")
					from, to, _ := strings.Cut(way, ">")
					e.Changes = append(e.Changes, Change{process, Release{SHA256: from}, Release{SHA256: to}})
				}
				if err := l.Append(e); err != nil {
					t.Fatal(err)
				}
			}
			set, err := l.PlanUndo(func(c Change) bool {
				return strings.Contains(" "+test.runs+" ", fmt.Sprintf(" %s:%s ", c.Process, c.To.SHA256))
			})
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if err != nil {
				return
			}
			var ways []string
			for _, c := range set {
				ways = append(ways, c.Process+":"+c.To.SHA256)
			}
			got := strings.Join(ways, " ")
			if set == nil {
				got = "none"
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
