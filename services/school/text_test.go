package school

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNames(t *testing.T) {
	for _, tc := range []struct {
		in, want string
		ok       bool
	}{
		{" Lakeside ", "Lakeside", true}, {"Zoë", "Zoë", true}, {"👩‍👩‍👧‍👦", "👩‍👩‍👧‍👦", true}, {"שָׁלוֹם", "שָׁלוֹם", true}, {"می\u200cخواهم", "می\u200cخواهم", true}, {strings.Repeat("é", 100), strings.Repeat("é", 100), true},
		{"", "", false}, {" \t\n ", "", false}, {"a\nb", "", false}, {"a\x00", "", false}, {"a\u202eb", "", false}, {"a\u2028b", "", false}, {"\u200b", "", false}, {"\xff", "", false}, {strings.Repeat("é", 101), "", false},
	} {
		got, ok := normalizeName(tc.in)
		if ok != tc.ok || ok && got != tc.want {
			t.Errorf("%q: got %q, %v", tc.in, got, ok)
		}
	}
}

func TestGrades(t *testing.T) {
	for in, ok := range map[string]bool{"": true, " ": true, "7": true, "K–2": true, "Abitur": true, strings.Repeat("x", 20): true, strings.Repeat("x", 21): false, "7\n": true, "7\n8": false, "\u200b": false} {
		if _, got := normalizeGrade(in); got != ok {
			t.Errorf("%q: got %v", in, got)
		}
	}
}

func TestTimezones(t *testing.T) {
	for in, ok := range map[string]bool{
		"UTC": true, "Europe/Berlin": true, "America/Argentina/Buenos_Aires": true, "Etc/GMT+5": true, "Asia/Kolkata": true,
		"": false, "Local": false, "Europe": false, "Mars/Base": false, "+02:00": false, "../UTC": false, "/usr/share/zoneinfo/UTC": false, "posix/UTC": false, "posixrules": false, "right/UTC": false, "UTC\x00": false, "U T C": false,
		strings.Repeat("a", 65): false, "zone.tab": false, "tzdata.zi": false, "Europe/Berlin/": false, "Zürich": false,
	} {
		if got := isTimezone(in); got != ok {
			t.Errorf("%q: got %v", in, got)
		}
	}
}

// FuzzText looks for texts that are taken and do not fit the tables.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "Ada", " x ", "UTC", "Europe/Berlin", "\xff", "🎈", "..", "a/../b", "\u202e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if name, ok := normalizeName(s); ok && (name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName || strings.ContainsAny(name, "\r\n\x00")) {
			t.Errorf("accepts the name %q", name)
		}
		if again, ok := normalizeName(s); ok {
			if twice, still := normalizeName(again); !still || twice != again {
				t.Errorf("%q becomes %q the second time", again, twice)
			}
		}
		if grade, ok := normalizeGrade(s); ok && (!utf8.ValidString(grade) || utf8.RuneCountInString(grade) > maxGrade) {
			t.Errorf("accepts the grade %q", grade)
		}
		if isTimezone(s) && (len(s) > maxTimezone || strings.Contains(s, "..") || strings.HasPrefix(s, "/")) {
			t.Errorf("accepts the time zone %q", s)
		}
		if cut := cutName(strings.ToValidUTF8(s, "?")); utf8.RuneCountInString(cut) > maxName || !utf8.ValidString(cut) {
			t.Errorf("cuts to %q", cut)
		}
	})
}
