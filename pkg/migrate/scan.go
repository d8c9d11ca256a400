package migrate

import "strings"

// scanner walks through SQL text and tells code from strings and comments. The zero value starts in code. Its state carries
// over from one piece of text to the next, so that a string or comment may span lines.
type scanner struct {
	mode byte // 0 in code, the quote in a string, '*' in a block comment, '-' in a comment to the end of the line
}

type kind int

const (
	space kind = iota
	code
	quoted
	comment
)

// scanNext returns the kind and the length in bytes of the start of text. text must not be empty. Lines must keep their line
// feed, which tells a comment from two minus signs.
func (s *scanner) scanNext(text string) (kind, int) {
	switch s.mode {
	case 0:
		return s.scanCode(text)
	case '*':
		if strings.HasPrefix(text, "*/") {
			s.mode = 0
			return comment, 2
		}
		return comment, 1
	case '-':
		if text[0] == '\n' {
			s.mode = 0
		}
		return comment, 1
	}
	switch {
	case text[0] == '\\' && s.mode != '`' && len(text) > 1:
		return quoted, 2
	case text[0] == s.mode && len(text) > 1 && text[1] == s.mode:
		return quoted, 2
	case text[0] == s.mode:
		s.mode = 0
	}
	return quoted, 1
}

func (s *scanner) scanCode(text string) (kind, int) {
	switch c := text[0]; {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
		return space, 1
	case c == '\'' || c == '"' || c == '`':
		s.mode = c
		return quoted, 1
	case c == '#':
		s.mode = '-'
		return comment, 1
	case strings.HasPrefix(text, "/*"):
		s.mode = '*'
		return comment, 2
	case strings.HasPrefix(text, "--") && (len(text) == 2 || text[2] <= ' '):
		s.mode = '-'
		return comment, 2
	}
	return code, 1
}
