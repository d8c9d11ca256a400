// Package text checks texts that people write: they can be shown anywhere without looking like something else.
package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// CleanLine returns s without spaces around it. It is good if it is one line of at most most characters of any script,
// without control characters and without characters that reorder the text around them. The empty line is good.
func CleanLine(s string, most int) (line string, good bool) {
	s = strings.TrimSpace(s)
	return s, utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, IsUnsafe)
}

// CleanName is CleanLine for a text that must have at least one visible character, and none that looks like a space and counts
// as a letter or a symbol: with those, two names look the same or a name looks empty.
func CleanName(s string, most int) (name string, good bool) {
	s, good = CleanLine(s, most)
	return s, good && strings.ContainsFunc(s, isVisible) && !strings.ContainsFunc(s, isBlank)
}

// IsCleanBlock reports whether s, of any length, has only line breaks, tabs and what CleanLine allows.
func IsCleanBlock(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune("\n\r\t\u2028\u2029", r) && IsUnsafe(r) })
}

// IsUnsafe reports control characters, line ends, and characters that reorder the text around them, which a name could use
// to look like another (Unicode TR 36). Joiners, which emoji and several scripts need, are safe.
func IsUnsafe(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 || r == utf8.RuneError
}

// isVisible reports characters that are visible on their own.
func isVisible(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsPunct(r) || unicode.IsSymbol(r)
}

// isBlank reports the fillers of Hangul, the blank pattern of Braille, and the other characters that no font shows although
// their category is visible.
func isBlank(r rune) bool {
	switch r {
	case 0x115F, 0x1160, 0x3164, 0xFFA0, 0x2800, 0x17B4, 0x17B5, 0x1D159:
		return true
	}
	return false
}
