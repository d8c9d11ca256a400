package migrate

import "strings"

// scanner walks through SQL text and tells code from strings and comments. The zero value starts in code. Its state carries
// over from one piece of text to the next, so that a string or comment may span lines. What stands in a comment that the server
// executes ("/*!50100 ... */") is code.
type scanner struct {
	mode     byte // 0 in code, the quote in a string, '*' in a block comment, '-' in a comment to the end of the line
	executed bool // in a comment that the server executes
}

type kind int

const (
	space kind = iota
	code
	quoted
	comment
)

// scanNext returns the kind and the length in bytes of the run at the start of text: white space, a word, one other character
// of code, the opening quote of a string, the rest of a string up to its end, or a comment up to its end or the end of text.
// text must not be empty. Lines must keep their line feed, which tells a comment from two minus signs.
func (s *scanner) scanNext(text string) (kind, int) {
	switch s.mode {
	case 0:
		return s.scanCode(text)
	case '*':
		return comment, s.endComment(text, 0)
	case '-':
		return comment, s.endLine(text)
	}
	return quoted, s.endQuote(text)
}

func (s *scanner) scanCode(text string) (kind, int) {
	c := text[0]
	switch {
	case isSpace(c):
		n := 1
		for n < len(text) && isSpace(text[n]) {
			n++
		}
		return space, n
	case isWord(c):
		n := 1
		for n < len(text) && isWord(text[n]) {
			n++
		}
		return code, n
	case c == '\'' || c == '"' || c == '`':
		s.mode = c
		return quoted, 1
	case c == '#', strings.HasPrefix(text, "--") && (len(text) == 2 || text[2] <= ' '):
		s.mode = '-'
		return comment, s.endLine(text)
	case strings.HasPrefix(text, "/*!"), strings.HasPrefix(text, "/*M!"):
		s.executed = true
		n := strings.IndexByte(text, '!') + 1
		for n < len(text) && text[n] >= '0' && text[n] <= '9' {
			n++
		}
		return space, n
	case s.executed && strings.HasPrefix(text, "*/"):
		s.executed = false
		return space, 2
	case strings.HasPrefix(text, "/*"):
		s.mode = '*'
		return comment, s.endComment(text, 2)
	}
	return code, 1
}

// endComment returns the length of a block comment whose end is looked for from start.
func (s *scanner) endComment(text string, start int) int {
	n := strings.Index(text[start:], "*/")
	if n < 0 {
		return len(text)
	}
	s.mode = 0
	return start + n + 2
}

func (s *scanner) endLine(text string) int {
	n := strings.IndexByte(text, '\n')
	if n < 0 {
		return len(text)
	}
	s.mode = 0
	return n + 1
}

// endQuote returns the length of the rest of a string, with its closing quote if that is in text.
func (s *scanner) endQuote(text string) int {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && s.mode != '`':
			i++
		case c == s.mode && i+1 < len(text) && text[i+1] == c:
			i++
		case c == s.mode:
			s.mode = 0
			return i + 1
		}
	}
	return len(text)
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

// isWord reports whether c may be part of a name, keyword or number.
func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
