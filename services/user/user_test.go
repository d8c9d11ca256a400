package user_test

import (
	"strings"
	"testing"

	"pgo/services/user"
)

func TestNormalizeEmail(t *testing.T) {
	const bad = ""
	for _, tc := range []struct{ name, in, want string }{
		{"plain", "ada@example.org", "ada@example.org"},
		{"case and spaces", " Ada.L@Example.ORG\n", "ada.l@example.org"},
		{"tag", "ada+pgo@example.org", "ada+pgo@example.org"},
		{"one label", "root@localhost", "root@localhost"},
		{"unicode", "Jürgen@bücher.example", "jürgen@bücher.example"},
		{"decomposed", "ju\u0308rgen@bu\u0308cher.example", "jürgen@bücher.example"}, {"ASCII form of the domain", "jürgen@XN--BCHER-KVA.example", "jürgen@bücher.example"},
		{"full width domain", "ada@ｅｘａｍｐｌｅ.org", "ada@example.org"}, {"ideographic full stop", "ada@例子。org", "ada@例子.org"}, {"damaged ASCII form", "ada@xn--a.example", bad},
		{"254 bytes", strings.Repeat("a", 242) + "@example.org", strings.Repeat("a", 242) + "@example.org"},
		{"255 bytes", strings.Repeat("a", 243) + "@example.org", bad},
		{"longer in lower case", strings.Repeat("Ⱥ", 120) + "@example.org", bad}, // 252 bytes, then 372
		{"empty", "", bad}, {"blank", " ", bad}, {"no at", "ada", bad}, {"no local part", "@example.org", bad}, {"no domain", "ada@", bad}, {"two at", "a@b@c", bad},
		{"display name", "Ada <ada@example.org>", bad}, {"angle brackets", "<ada@example.org>", bad}, {"comment", "ada@example.org (Ada)", bad}, {"list", "a@b.c, d@e.f", bad}, {"group", "g: a@b.c;", bad},
		{"quoted", `"ada l"@example.org`, bad}, {"address literal", "ada@[127.0.0.1]", bad}, {"underscore in the domain", "ada@my_host", bad}, {"dots", "a..b@example.org", bad}, {"dot at the end", "ada@example.org.", bad},
		{"header", "ada@example.org\r\nBcc: x@y.z", bad}, {"space inside", "ada l@example.org", bad}, {"NUL", "ada\x00@example.org", bad}, {"not UTF-8", "ada\xff@example.org", bad},
		{"zero width space", "ada\u200b@example.org", bad}, {"soft hyphen", "a\u00adda@example.org", bad}, {"right-to-left override", "ada\u202e@example.org", bad}, {"line separator", "ada\u2028@example.org", bad},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := user.NormalizeEmail(tc.in)
			if ok != (tc.want != bad) || ok && got != tc.want {
				t.Errorf("got %q, %v; want %q", got, ok, tc.want)
			}
		})
	}
}

func TestNormalizeName(t *testing.T) {
	const bad = ""
	for _, tc := range []struct{ name, in, want string }{
		{"plain", "Ada", "Ada"}, {"spaces around", "\t Ada L. \n", "Ada L."}, {"one character", "李", "李"}, {"one emoji", "🎈", "🎈"},
		{"100 characters", strings.Repeat("🎈", 100), strings.Repeat("🎈", 100)}, {"101 characters", strings.Repeat("a", 101), bad},
		{"joined emoji", "👩‍👩‍👧", "👩‍👩‍👧"}, {"right to left", "محمد", "محمد"}, {"right-to-left mark", "\u200fمحمد", "\u200fمحمد"}, {"combining", "e\u0301", "e\u0301"},
		{"empty", "", bad}, {"blank", " \t", bad}, {"two lines", "Ada\nBob", bad}, {"carriage return", "Ada\rBcc: x", bad}, {"line separator", "Ada\u2028Bob", bad}, {"paragraph separator", "Ada\u2029Bob", bad},
		{"next line", "Ada\u0085Bob", bad}, {"NUL", "Ada\x00", bad}, {"escape", "\x1b[31mAda", bad}, {"right-to-left override", "Ada\u202ebob", bad}, {"isolate", "\u2066Ada", bad},
		{"not UTF-8", "Ada\xff", bad}, {"replacement character", "Ada\ufffd", bad}, {"nothing to see", "\u200b\u200d", bad}, {"a mark alone", "\u0301", bad},
		{"Hangul filler", "\u3164", bad}, {"Hangul filler after a name", "Ada\u3164", bad}, {"Hangul jamo fillers", "\u115f\u1160", bad}, {"halfwidth filler", "\uffa0", bad}, {"blank Braille", "\u2800", bad}, {"Braille", "⠁⠙⠁", "⠁⠙⠁"}, {"Hangul", "한글", "한글"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := user.NormalizeName(tc.in)
			if ok != (tc.want != bad) || ok && got != tc.want {
				t.Errorf("got %q, %v; want %q", got, ok, tc.want)
			}
		})
	}
}

func FuzzNormalizeEmail(f *testing.F) {
	for _, seed := range []string{"Ada@Example.org", "İ@example.org", "K@x", `"a"@b`, "a@b\u2028", "ß@ẞ.de", " a@b "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := user.NormalizeEmail(in)
		if !ok {
			return
		}
		if again, ok := user.NormalizeEmail(got); !ok || again != got {
			t.Errorf("%q becomes %q and then %q, %v", in, got, again, ok)
		}
		if len(got) > 254 || strings.Count(got, "@") != 1 || strings.ContainsAny(got, " \r\n\t<>,;\"") {
			t.Errorf("%q becomes %q", in, got)
		}
	})
}

func FuzzNormalizeName(f *testing.F) {
	for _, seed := range []string{"Ada", " a ", "\u200b", "👩‍👩‍👧", "a\u2028b", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := user.NormalizeName(in)
		if !ok {
			return
		}
		if again, ok := user.NormalizeName(got); !ok || again != got || got == "" || strings.ContainsAny(got, "\r\n\x00") || !strings.Contains(in, got) {
			t.Errorf("%q becomes %q and then %q, %v", in, got, again, ok)
		}
	})
}
