package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeLogs writes alternating lines of two processes, a quarter of an hour apart, the last one now.
func writeLogs(s *sandbox) (start time.Time) {
	s.t.Helper()
	start = time.Now().UTC().Truncate(time.Second).Add(-2 * time.Hour)
	logs := map[string]string{}
	for n := range 9 {
		at := start.Add(time.Duration(n) * 15 * time.Minute)
		if n%2 == 0 {
			logs["even"] += fmt.Sprintf("{\"ts\":%q,\"n\":%d}\n", at.Format(time.RFC3339), n)
			continue
		}
		logs["odd"] += fmt.Sprintf("%s [info] n %d\n  and more\n", at.Format("2006-01-02 15:04:05Z07:00"), n)
	}
	for name, text := range logs {
		path := filepath.Join(s.homeDir(), "logs", name+".log")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	return start
}

func TestLogsOfATime(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "  p: {command: ACTOR}\n")
	start := writeLogs(s)
	at := func(minutes int) string { return start.Add(time.Duration(minutes) * time.Minute).Format(time.RFC3339) }
	tests := []struct {
		name string
		args []string
		want string // the numbers in the order shown, + for a continuation line
	}{
		{"the last hour", []string{"--since", "61m", "all"}, "4 5 + 6 7 + 8"},
		{"long ago", []string{"--since", "1d", "all"}, "0 1 + 2 3 + 4 5 + 6 7 + 8"},
		{"from and to", []string{"--since", at(15), "--until", at(45), "all"}, "1 + 2 3 +"},
		{"only until", []string{"--until", at(20), "all"}, "0 1 +"},
		{"another zone", []string{"--until", start.In(time.FixedZone("", 3600)).Format(time.RFC3339), "all"}, "0"},
		{"one process", []string{"--since", at(30), "even"}, "2 4 6 8"},
		{"the last of each", []string{"--since", at(0), "-n", "2", "all"}, "6 7 + 8"},
		{"none of each", []string{"--since", at(0), "-n", "0", "all"}, ""},
		{"nothing then", []string{"--since", "1s", "odd"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for line := range strings.Lines(s.mustRun(append([]string{"logs"}, test.args...)...)) {
				_, number, found := strings.Cut(strings.TrimRight(line, "}\n"), "n\":")
				if !found {
					_, number, found = strings.Cut(strings.TrimSpace(line), " n ")
				}
				if !found {
					number = "+"
				}
				got = append(got, number)
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("got %s, want %s", strings.Join(got, " "), test.want)
			}
		})
	}
}

func TestLogsRejectsArguments(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "  p: {command: ACTOR}\n")
	writeLogs(s)
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"a word", []string{"--since", "yesterday"}, `--since: expected a time such as 10m, 36h, 7d or 2026-01-31T15:04:05Z, found "yesterday"`},
		{"a number", []string{"--until", "10"}, `--until: expected a time`},
		{"a time to come", []string{"--since", "-10m"}, `--since: expected a time`},
		{"days and more", []string{"--since", "1d2"}, `--since: expected a time`},
		{"half days", []string{"--since", "1.5d"}, `--since: expected a time`},
		{"no zone", []string{"--since", "2026-01-31T15:04:05"}, `--since: expected a time`},
		{"the wrong way round", []string{"--since", "1m", "--until", "2m"}, "--until is before --since"},
		{"to follow to an end", []string{"-f", "--until", "1m"}, "-f continues, --until ends"},
		{"fewer than none", []string{"-n", "-1"}, "expected a number of lines"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.t = t
			s.assertFails(exitUsage, []string{test.want}, append([]string{"logs", "all"}, test.args...)...)
		})
	}
}

func TestLogsFollowSince(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "  p: {command: ACTOR, args: [actor, print=one, \"await=DIR/go\", print=two]}\n")
	s.mustRun("up")
	follow := s.newCommand("logs", "-f", "--since", "1h", "p")
	out, err := follow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, len("one\ntwo\n"))
	for n := 0; n < len(text); {
		if n == len("one\n") {
			touchFile(t, filepath.Join(s.dir, "go"))
		}
		k, err := out.Read(text[n:])
		if n += k; err != nil {
			t.Fatal(err)
		}
	}
	if string(text) != "one\ntwo\n" {
		t.Errorf("got %q", text)
	}
	_ = follow.Process.Signal(os.Interrupt)
	if err := follow.Wait(); err != nil {
		t.Errorf("interrupted: %v", err)
	}
}

func TestLogsColors(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "  p: {command: ACTOR}\n")
	writeLogs(s)
	tests := []struct {
		name, env string
		args      []string
		want      []string
		colours   bool
	}{
		{"several on a terminal", "A=b", []string{"all"}, []string{"\x1b[36meven         |\x1b[0m {", "\x1b[33modd          |\x1b[0m "}, true},
		{"in the order of time", "A=b", []string{"--since", "1d", "all"}, []string{"\x1b[36meven         |\x1b[0m {", "\x1b[33modd          |\x1b[0m "}, true},
		{"one", "A=b", []string{"even"}, []string{`{"ts":`}, false},
		{"not wanted", "NO_COLOR=1", []string{"all"}, []string{"even         | {", "odd          | "}, false},
		{"a terminal without", "TERM=dumb", []string{"all"}, []string{"even         | {"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, out := s.runOnTerminal(120, test.env, append([]string{"logs", "-n", "1"}, test.args...)...)
			for _, want := range test.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in %q", want, out)
				}
			}
			if strings.Contains(out, "\x1b") != test.colours {
				t.Errorf("colours: %q", out)
			}
		})
	}
}
