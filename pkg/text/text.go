// Package text is what every service asks of texts that people write: that they can be shown anywhere without looking like
// something else.
package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// CleanLine returns s without spaces around it. It is good when it is one line of at most most characters of any script, without
// control characters and without characters that reorder the text around them. The empty line is good.
func CleanLine(s string, most int) (line string, good bool) {
	s = strings.TrimSpace(s)
	return s, utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, IsUnsafe)
}

// CleanName is Line for what must not be empty: at least one character of it can be seen.
func CleanName(s string, most int) (name string, good bool) {
	s, good = CleanLine(s, most)
	return s, good && strings.ContainsFunc(s, isVisible)
}

// IsCleanBlock reports a text of any length that may have several lines and tabs, and else only what a Line may have.
func IsCleanBlock(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune("\n\r\t\u2028\u2029", r) && IsUnsafe(r) })
}

// IsUnsafe reports control characters, line ends, and characters that reorder the text around them, which a name could use to
// look like something else (Unicode TR 36). Joiners, as emoji and several scripts need them, are fine.
func IsUnsafe(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 || r == utf8.RuneError
}

// isVisible reports characters that leave ink on their own.
func isVisible(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsPunct(r) || unicode.IsSymbol(r)
}
