package terminal

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
)

func TestTablePrint(t *testing.T) {
	long := strings.Repeat("word ", 30)
	tests := []struct {
		name   string
		screen Screen
		rows   [][]string
		want   []string
	}{
		{"a file", Screen{}, [][]string{{"web", "service", long}}, []string{"NAME  KIND     NOTE", "web   service  " + strings.TrimSpace(long)}},
		{"reasons of two lines", Screen{HasColors: true}, [][]string{{"a", "x", "one\ntwo"}, {"b", "x", "\x1b[2J"}},
			[]string{"\x1b[1mNAME  KIND  NOTE\x1b[0m", "\x1b[32ma     x     one two\x1b[0m", "\x1b[32mb     x     \\x1b[2J\x1b[0m"}},
		{"wide characters", Screen{}, [][]string{{"学校", "x", ""}, {"a", "x", "y"}}, []string{"NAME  KIND  NOTE", "学校  x", "a     x     y"}},
		{"the last column is cut", Screen{Width: 37}, [][]string{{"web", "x", "twenty-four columns or more"}}, []string{"NAME  KIND  NOTE", "web   x     twenty-four columns or m…"}},
		{"a column is omitted", Screen{Width: 30}, [][]string{{"web", "service", long}}, []string{"NAME  NOTE", "web   word word word word wor…"}},
		{"very narrow", Screen{Width: 8}, [][]string{{"web", "service", long}}, []string{"NAME  N…", "web   w…"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := NewTable("NAME", "KIND", "NOTE")
			table.Optional = []string{"KIND"}
			for _, row := range test.rows {
				table.AddColoredRow(Green, row...)
			}
			var out bytes.Buffer
			if err := table.Print(&out, test.screen); err != nil {
				t.Fatal(err)
			}
			if want := strings.Join(test.want, "\n") + "\n"; out.String() != want {
				t.Errorf("got\n%q, want\n%q", out.String(), want)
			}
			for line := range strings.Lines(out.String()) {
				if w := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); test.screen.Width > 0 && w > test.screen.Width {
					t.Errorf("%d columns: %q", w, line)
				}
			}
		})
	}
}
