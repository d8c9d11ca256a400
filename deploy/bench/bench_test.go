package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func TestVerdict(t *testing.T) {
	tests := []struct {
		name string
		row  row
		want string
	}{
		{"as good as the target", row{target: atMost(15), ours: cell{samples: []float64{15}}}, "met"},
		{"the median counts", row{target: atMost(15), ours: cell{samples: []float64{1, 99, 14}}}, "met"},
		{"of an even number too", row{target: atMost(15), unit: "ms", ours: cell{samples: []float64{14, 18}}}, "**MISSED** (16 ms)"},
		{"by a little", row{target: atMost(3), unit: "%", ours: cell{samples: []float64{3.04}}}, "**MISSED** (3.04 %)"},
		{"one failure", row{target: atMost(0), ours: cell{samples: []float64{1}}}, "**MISSED** (1 )"},
		{"nothing was measured", row{target: atMost(0), ours: cell{note: "no nginx"}}, "not measured"},
		{"no target", row{ours: cell{samples: []float64{1}}}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.row.verdict(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestTable(t *testing.T) {
	rows := []*row{
		{what: "failed", target: atMost(0)},
		{what: "takes", unit: "ms", target: atMost(15)},
	}
	fillCells(rows, 0, map[string]cell{"failed": {samples: []float64{0}, note: "of 10"}, "takes": {samples: []float64{1.25, 3, 2}}}, nil)
	fillCells(rows, 1, map[string]cell{"failed": {text: "all", note: "a | b"}}, os.ErrNotExist)
	got := formatTable(rows)
	for _, want := range []string{
		"| failed | 0 | 0; of 10 | all; a \\| b | met |\n",
		"| takes | ≤ 15 ms | 2 (1.25 to 3, n=3) ms | not measured: file does not exist | met |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestPageKeepsWhatPeopleWrote(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	for range 2 {
		if err := os.WriteFile(page, []byte("before\n"+beginMark+"\nold\n"+endMark+"\nafter\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := writePage(page, "new\n"); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(page)
		if want := "before\n" + beginMark + "\nnew\n" + endMark + "\nafter\n"; err != nil || string(content) != want {
			t.Errorf("got %q %v", content, err)
		}
	}
	if err := os.WriteFile(page, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writePage(page, "new\n"); err == nil || !strings.Contains(err.Error(), "no marks") {
		t.Errorf("without marks: %v", err)
	}
	real, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil || !bytes.Contains(real, []byte(beginMark)) || !bytes.Contains(real, []byte(endMark)) {
		t.Errorf("the real page has no marks: %v", err)
	}
}

// What a load reports is what its server has seen and done.
func TestLoadCountsFailures(t *testing.T) {
	var bad, all atomic.Int64
	enough := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := all.Add(1)
		if n == 200 {
			close(enough)
		}
		if r.Method == http.MethodPost && n%2 == 0 {
			bad.Add(1)
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer server.Close()
	l := startLoad(server.Listener.Addr().String(), "", 1000)
	<-enough
	l.stop()
	failed, sent, skipped := l.failures()
	if int64(failed) != bad.Load() || int64(sent) != all.Load() || skipped != 0 || failed == 0 {
		t.Errorf("%d of %d failed, %d skipped; the server refused %d of %d", failed, sent, skipped, bad.Load(), all.Load())
	}
	if !strings.Contains(l.describeFailures(), "answer 502 Bad Gateway") {
		t.Errorf("why: %s", l.describeFailures())
	}
	for _, s := range l.streams {
		if s.gateway || s.sent.Load() == 0 {
			t.Errorf("%s: %d sent", s.name, s.sent.Load())
		}
	}
}

func TestWrongCommandLines(t *testing.T) {
	for _, test := range []struct{ name, args, want string }{
		{"no such flag", "-reloadz 3", "not defined"},
		{"an argument", "reload", `unknown argument "reload"`},
		{"no reloads", "-reloads 0", "at least 1"},
		{"too short", "-idle 1ms", "at least 1s"},
		{"no such scenario", "-only nothing", `there is no scenario "nothing"`},
		{"a part as the page", "-only six -out x.md", "not written to the page"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(t.Context(), strings.Fields(test.args), &out, &errs); code != 64 || !strings.Contains(errs.String(), test.want) {
				t.Errorf("exit code %d: %s", code, &errs)
			}
		})
	}
}
