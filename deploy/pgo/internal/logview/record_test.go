package logview

import (
	"strings"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/terminal"
)

func TestRender(t *testing.T) {
	at := time.Date(2026, 1, 31, 15, 4, 5, 6e6, time.UTC)
	local := at.Local().Format(timeLayout)
	ts := `"ts":"` + at.Format(time.RFC3339Nano) + `"`
	tests := []struct{ name, line, want string }{
		{"zap", `{` + ts + `,"level":"info","msg":"started","port":8081,"name":"a b","empty":""}`, local + ` INFO  started port=8081 name="a b" empty=""`},
		{"slog", `{"time":"` + at.Format(time.RFC3339Nano) + `","level":"WARN","msg":"slow"}`, local + " WARN  slow"},
		{"slog between levels", `{"level":"INFO+2","msg":"x"}`, "INFO  x"},
		{"pino", `{"level":50,"msg":"x"}`, "ERROR x"},
		{"an unknown level", `{"level":"odd","msg":"x"}`, "x level=odd"},
		{"nested", `{"msg":"x","a":{"b":[1,2]}}`, `x a={"b":[1,2]}`},
		{"a stack trace", `{"msg":"x","stack":"one\n\ttwo"}`, "x\n    stack:\n    one\n        two"},
		{"a message of two lines", `{"msg":"one\ntwo","n":1}`, "one n=1\n    two"},
		{"control characters", `{"msg":"\u001b[2J\u009b\r","\u0007":"\u001b]0;"}`, `\x1b[2J\u009b\x0d \x07=\x1b]0;`},
		{"no message", `{"a":1}`, `{"a":1}`},
		{"half a line", `{"msg":"x`, `{"msg":"x`},
		{"two objects", `{"msg":"x"} {"msg":"y"}`, `{"msg":"x"} {"msg":"y"}`},
		{"text", "plain \x1b[31mred\x1b[0m", "plain red"},
		{"an array", `["msg"]`, `["msg"]`},
		{"nothing", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.Join(parseRecord([]byte(test.line+"\n")).render(terminal.Screen{}), "\n"); got != test.want {
				t.Errorf("got\n%q, want\n%q", got, test.want)
			}
		})
	}
	if got := parseRecord([]byte(`{"level":"error","msg":"x","k":1}`)).render(terminal.Screen{HasColors: true})[0]; got != "\x1b[31mERROR\x1b[0m x \x1b[36mk=\x1b[0m1" {
		t.Errorf("with colors: %q", got)
	}
}

func FuzzRender(f *testing.F) {
	f.Add(`{"ts":"2026-01-31T15:04:05Z","level":"info","msg":"x\n","k":{"a":"\u0007"}}`)
	f.Add("{\"msg\":1,\"a\":\x1b}")
	f.Fuzz(func(t *testing.T, line string) {
		for _, l := range parseRecord([]byte(line)).render(terminal.Screen{}) {
			if terminal.EscapeLine(strings.TrimSpace(l)) != strings.TrimSpace(l) {
				t.Errorf("%q of %q", l, line)
			}
		}
	})
}

func TestFilter(t *testing.T) {
	lines := []string{
		"no level yet", `{"level":"debug","msg":"one"}`, "  more of one", `{"level":"error","msg":"two"}`, "  a trace of two", `{"level":"info","msg":"three"}`,
	}
	tests := []struct{ name, pattern, level, want, failure string }{
		{name: "nothing", want: "0 1 2 3 4 5"},
		{name: "a pattern", pattern: "t(wo|hree)", want: "3 4 5"},
		{name: "a level", level: "warn", want: "0 3 4"},
		{name: "in capitals", level: "INFO", want: "0 3 4 5"},
		{name: "both", pattern: "trace", level: "error", want: "4"},
		{name: "a bad pattern", pattern: "(", failure: "--grep"},
		{name: "a bad level", level: "loud", failure: "--level loud: expected debug, info"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			filter, err := NewFilter(test.pattern, test.level)
			if test.failure != "" || err != nil {
				if err == nil || !strings.Contains(err.Error(), test.failure) {
					t.Errorf("got %v, want %q", err, test.failure)
				}
				return
			}
			m := matcher{filter: filter}
			var got []string
			for n, line := range lines {
				if m.matches([]byte(line)) {
					got = append(got, string(rune('0'+n)))
				}
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}
