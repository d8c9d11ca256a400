package terminal

import (
	"strings"
	"testing"
	"unicode"
)

func TestEscape(t *testing.T) {
	tests := []struct{ name, text, line, block string }{
		{"plain", "exit code 1", "exit code 1", "exit code 1"},
		{"other scripts", "schüler 学校 → ok", "schüler 学校 → ok", "schüler 学校 → ok"},
		{"two lines", "one\ntwo\n", "one two", "one\ntwo\n"},
		{"line ends of Windows", "one\r\ntwo", "one two", "one\ntwo"},
		{"a tab", "a\tb", "a b", "a\tb"},
		{"colors", "\x1b[1;31mred\x1b[0m", "red", "red"},
		{"a cleared screen", "\x1b[2Jx", `\x1b[2Jx`, `\x1b[2Jx`},
		{"a title", "\x1b]0;owned\ax", `\x1b]0;owned\x07x`, `\x1b]0;owned\x07x`},
		{"an overwritten line", "bad\rgood", `bad\x0dgood`, `bad\x0dgood`},
		{"an 8-bit sequence", "a\u009b31mb", `a\u009b31mb`, `a\u009b31mb`},
		{"invalid UTF-8", "a\x9bb", `a\x9bb`, `a\x9bb`},
		{"text from right to left", "a\u202eb", `a\u202eb`, `a\u202eb`},
		{"a line separator", "a\u2028b", "a b", "a\nb"},
		{"delete", "a\x7f", `a\x7f`, `a\x7f`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if line, block := EscapeLine(test.text), EscapeText(test.text); line != test.line || block != test.block {
				t.Errorf("got %q and %q, want %q and %q", line, block, test.line, test.block)
			}
		})
	}
}

func FuzzEscapeLine(f *testing.F) {
	f.Add("\x1b[\x1b[0m2J")
	f.Add("a\r\r\nb")
	f.Fuzz(func(t *testing.T, text string) {
		if line := EscapeLine(text); strings.ContainsFunc(line, unicode.IsControl) {
			t.Errorf("%q of %q", line, text)
		}
	})
}
