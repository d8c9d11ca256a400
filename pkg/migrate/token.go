package migrate

import (
	"iter"
	"strings"
)

// token is a token of SQL: a bare word, a quoted name or string, or one other character.
type token struct {
	text   string // as written, without quotes
	quoted bool
	string bool // in quotes that may be a string's
	joined bool // nothing stands between it and the token before
}

// is reports whether the token is the keyword or character, which is in upper case.
func (t token) is(keyword string) bool {
	return !t.quoted && len(t.text) == len(keyword) && strings.EqualFold(t.text, keyword)
}

// isOneOf reports whether the token is a keyword of the set, whose keys are in upper case.
func (t token) isOneOf(keywords map[string]bool) bool {
	return !t.quoted && len(t.text) <= maxKeyword && keywords[strings.ToUpper(t.text)]
}

// isWord reports whether the token is a bare word: a name, a keyword or a number.
func (t token) isWord() bool { return !t.quoted && isWord(t.text[0]) }

// maxKeyword bounds the length of keywords in bytes, so that a long literal is not copied to compare it.
const maxKeyword = 64

// tokens yields the tokens of sql, without white space and comments. It takes time in proportion to the text's length.
func tokens(sql string) iter.Seq[token] {
	return func(yield func(token) bool) {
		var s scanner
		joined := false
		for i := 0; i < len(sql); {
			k, n := s.scanNext(sql[i:])
			text := sql[i : i+n]
			i += n
			switch k {
			case code:
				if !yield(token{text: text, joined: joined}) {
					return
				}
			case quoted:
				t := token{quoted: true, string: text != "`", joined: joined}
				t.text, i = readQuoted(&s, sql, i)
				if !yield(t) {
					return
				}
			}
			joined = k == code || k == quoted
		}
	}
}

// maxUnescaped bounds the strings in which a doubled quote becomes one, in bytes. Names are shorter, and nothing reads a longer text.
const maxUnescaped = 1024

// readQuoted returns the string whose opening quote ends before i, and the index after it. A doubled quote counts once, except in a
// long text.
func readQuoted(s *scanner, sql string, i int) (string, int) {
	if i == len(sql) {
		return "", i
	}
	quote := string(s.mode)
	_, n := s.scanNext(sql[i:])
	text := sql[i : i+n]
	if s.mode == 0 {
		text = text[:n-1]
	}
	if len(text) > maxUnescaped {
		return text, i + n
	}
	return strings.ReplaceAll(text, quote+quote, quote), i + n
}

// tokenize returns the first tokens of sql, at most limit. A negative limit returns all.
func tokenize(sql string, limit int) []token {
	var out []token
	for t := range tokens(sql) {
		if len(out) == limit {
			break
		}
		out = append(out, t)
	}
	return out
}

// tokenizeStatement returns all tokens of a statement without the semicolon at its end.
func tokenizeStatement(sql string) []token {
	out := tokenize(sql, -1)
	for len(out) > 0 && out[len(out)-1].is(";") {
		out = out[:len(out)-1]
	}
	return out
}

// tokenReader takes tokens from the front.
type tokenReader struct{ words []token }

// takeKeywords removes the keywords from the front if all are there, and reports whether it did.
func (r *tokenReader) takeKeywords(keywords ...string) bool {
	if len(r.words) < len(keywords) {
		return false
	}
	for i, k := range keywords {
		if !r.words[i].is(k) {
			return false
		}
	}
	r.words = r.words[len(keywords):]
	return true
}

// takeName takes a name, quoted or not. It returns an empty string when there is none.
func (r *tokenReader) takeName() string {
	if len(r.words) == 0 {
		return ""
	}
	w := r.words[0]
	if w.string || !w.quoted && !w.isWord() {
		return ""
	}
	r.words = r.words[1:]
	return w.text
}

// takeTable takes a table's name, with or without its schema.
func (r *tokenReader) takeTable(k effectKind) effect {
	name := r.takeName()
	if name == "" {
		return effect{}
	}
	if r.takeKeywords(".") {
		table := r.takeName()
		if table == "" {
			return effect{}
		}
		return effect{kind: k, schema: name, table: table}
	}
	return effect{kind: k, table: name}
}

// takeIndexOn takes "name ON table", also with USING between them.
func (r *tokenReader) takeIndexOn(k effectKind) effect {
	name := r.takeName()
	if r.takeKeywords("USING") {
		r.takeName()
	}
	if name == "" || !r.takeKeywords("ON") {
		return effect{}
	}
	e := r.takeTable(k)
	e.name = name
	return e
}

// onlyIfAtEnd returns e if no token is left, else an unknown effect.
func (r *tokenReader) onlyIfAtEnd(e effect) effect {
	if len(r.words) > 0 {
		return effect{}
	}
	return e
}

// splitClauses splits the remaining tokens at the commas outside of parentheses.
func (r *tokenReader) splitClauses() [][]token {
	out, depth := [][]token{nil}, 0
	for _, w := range r.words {
		switch {
		case w.is("("):
			depth++
		case w.is(")"):
			depth--
		}
		if w.is(",") && depth == 0 {
			out = append(out, nil)
			continue
		}
		out[len(out)-1] = append(out[len(out)-1], w)
	}
	return out
}
