package terminal

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// colorSequence matches the escape sequences that only change colors. Programs log them often, and without them the text is
// complete.
var colorSequence = regexp.MustCompile("\x1b\\[[0-9;:]*m")

// EscapeLine returns text of a process as a single line that is safe on any terminal: line ends and tabs become spaces,
// colors are removed, and each other control character is spelled out, as in \x1b.
func EscapeLine(text string) string {
	if isPlain(text) {
		return text
	}
	return strings.Join(strings.FieldsFunc(escape(text), isLineEndOrTab), " ")
}

// EscapeText does the same with text of several lines, whose line ends and tabs stay.
func EscapeText(text string) string {
	if isPlain(text) {
		return text
	}
	return escape(text)
}

// isPlain reports whether text has nothing to escape, as nearly all text has not.
func isPlain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

func isLineEndOrTab(r rune) bool { return r == '\n' || r == '\t' }

// escape removes colors and spells out control characters other than line ends and tabs. A carriage return before a line end
// belongs to it.
func escape(text string) string {
	text = strings.ReplaceAll(colorSequence.ReplaceAllString(text, ""), "\r\n", "\n")
	var safe strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&safe, `\x%02x`, text[0])
		case isLineEndOrTab(r):
			safe.WriteRune(r)
		case r == '\u2028', r == '\u2029': // line and paragraph separator
			safe.WriteByte('\n')
		case r < ' ', r == 0x7f:
			fmt.Fprintf(&safe, `\x%02x`, r)
		case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Bidi_Control, r):
			fmt.Fprintf(&safe, `\u%04x`, r)
		default:
			safe.WriteRune(r)
		}
		text = text[size:]
	}
	return safe.String()
}

// EscapeJSON spells out the control characters in a JSON text that JSON itself allows in strings. It stays the same value.
func EscapeJSON(text []byte) []byte {
	if isPlain(string(text)) {
		return text
	}
	var safe []byte
	for _, r := range string(text) {
		if r == 0x7f || r >= 0x80 && unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Bidi_Control, r) {
			safe = fmt.Appendf(safe, `\u%04x`, r)
		} else {
			safe = utf8.AppendRune(safe, r)
		}
	}
	return safe
}

// PrintLine prints formatted text as exactly one safe line, without spaces at its end.
func PrintLine(w io.Writer, format string, args ...any) error {
	_, err := io.WriteString(w, strings.TrimRight(EscapeLine(fmt.Sprintf(format, args...)), " ")+"\n")
	return err
}
