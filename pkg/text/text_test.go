package text_test

import (
	"strings"
	"testing"

	"pgo/pkg/text"
)

func TestText(t *testing.T) {
	for _, tc := range []struct {
		name, in           string
		line, filled, body bool
	}{
		{"plain", "Ada", true, true, true},
		{"as long as it may be", strings.Repeat("🎈", 20), true, true, true},
		{"too long", strings.Repeat("a", 21), false, false, true},
		{"joined emoji", "👩‍👩‍👧", true, true, true},
		{"right to left", "\u200fمحمد", true, true, true},
		{"empty", "", true, false, true},
		{"blank", " \t\n", true, false, true},
		{"Hangul filler", "\u3164", true, false, true}, {"Hangul filler after a letter", "a\u3164", true, false, true}, {"blank Braille", "\u2800", true, false, true},
		{"nothing to see", "\u200b\u200d", true, false, true},
		{"a mark alone", "\u0301", true, false, true},
		{"two lines", "Ada\r\n\tBob", false, false, true},
		{"line separator", "Ada\u2028Bob", false, false, true},
		{"next line", "Ada\u0085Bob", false, false, false},
		{"NUL", "Ada\x00Bob", false, false, false},
		{"escape", "\x1b[31mAda", false, false, false},
		{"right-to-left override", "Ada\u202ebob", false, false, false},
		{"isolate", "\u2066Ada", false, false, false},
		{"not UTF-8", "Ada\xff", false, false, false},
		{"replacement character", "Ada\ufffd", false, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, good := text.CleanLine(tc.in, 20); good != tc.line {
				t.Errorf("Line: %v", good)
			}
			if _, good := text.CleanName(tc.in, 20); good != tc.filled {
				t.Errorf("Name: %v", good)
			}
			if good := text.IsCleanBlock(tc.in); good != tc.body {
				t.Errorf("Block: %v", good)
			}
		})
	}
}
