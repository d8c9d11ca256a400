package migrate

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

type section int

const (
	before section = iota
	up
	down
)

// parser reads one file line by line, as goose does. Unlike goose, it recognizes strings and comments, so that a semicolon
// in them ends nothing.
type parser struct {
	file string
	line int
	m    Migration

	section   section
	block     bool // between StatementBegin and StatementEnd
	blockLine int

	scan    scanner
	text    strings.Builder // the statement that is being read
	start   int             // its first line
	code    bool            // it has more than comments and semicolons
	next    directives      // for the statement that is being read or comes next
	header  bool            // min_code_schema was seen
	session sessionState    // what the statements so far leave in the session
}

// parseFile reads a file's text. Line ends may be CRLF and the text may start with a byte order mark; neither changes
// a checksum. Every error is a *SyntaxError.
func parseFile(file, text string) (Migration, error) {
	p := &parser{file: file, m: Migration{File: file}, session: sessionState{variables: map[string]variable{}}}
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
	if strings.TrimSpace(text) == "" {
		return Migration{}, &SyntaxError{File: file, Reason: "the file is empty"}
	}
	for line := range strings.SplitSeq(text, "\n") {
		p.line++
		if err := p.readLine(line); err != nil {
			return Migration{}, err
		}
	}
	if err := p.finishFile(); err != nil {
		return Migration{}, err
	}
	return p.m, nil
}

func (p *parser) newError(line int, format string, args ...any) error {
	return &SyntaxError{File: p.file, Line: line, Reason: fmt.Sprintf(format, args...)}
}

func (p *parser) readLine(line string) error {
	switch {
	case !utf8.ValidString(line):
		return p.newError(p.line, "expected UTF-8")
	case strings.ContainsAny(line, "\r\x00"):
		return p.newError(p.line, "a carriage return or NUL byte inside a line")
	}
	trimmed := strings.TrimSpace(line)
	isComment := strings.HasPrefix(trimmed, "--")
	if isComment && strings.Contains(line, "+goose") {
		return p.readAnnotation(line)
	}
	if p.text.Len() == 0 {
		if isComment {
			return p.readComment(commentText(trimmed))
		}
		if trimmed == "" {
			return nil
		}
	}
	if p.section == before {
		return p.newError(p.line, "expected '-- +goose Up' before the first statement")
	}
	return p.readSQL(line)
}

func (p *parser) readSQL(line string) error {
	if p.text.Len() == 0 {
		p.start = p.line
	}
	p.text.WriteString(line + "\n")
	ended, second := false, false
	for rest := line + "\n"; rest != ""; {
		k, n := p.scan.scanNext(rest)
		switch {
		case k == code && rest[0] == ';':
			ended = true
		case k == code || k == quoted:
			second = second || ended
			p.code = true
		case k == comment:
			if err := p.readComment(commentText(rest[:n])); err != nil {
				return err
			}
		}
		rest = rest[n:]
	}
	if p.block {
		return nil
	}
	if second {
		return p.newError(p.line, "more text after ';': put each statement on a line of its own, or between '-- +goose StatementBegin' and '-- +goose StatementEnd'")
	}
	if !ended {
		return nil
	}
	if p.scan.mode != 0 {
		return p.newError(p.line, "a comment that goes on after ';': put it on a line of its own")
	}
	return p.finishStatement()
}

// finishStatement takes the text that was read as a statement.
func (p *parser) finishStatement() error {
	sql, hasCode, isBlock := strings.TrimSpace(p.text.String()), p.code, p.block
	start, next := p.start, p.next
	p.text.Reset()
	p.scan, p.code, p.next, p.block = scanner{}, false, directives{}, false
	if p.section == down {
		return nil
	}
	if !hasCode {
		return p.newError(start, "an empty statement")
	}
	verify, err := p.finishVerify(next)
	if err != nil {
		return err
	}
	s := Statement{Number: len(p.m.Statements) + 1, Line: start, SQL: sql, Verify: verify, Once: next.once, Hash: hashText(sql), effect: effectOf(sql)}
	if isBlock {
		s.parts = splitBlock(sql)
	}
	if reason := p.checkStatement(&s, isBlock); reason != "" {
		return p.newError(start, "%s", reason)
	}
	p.m.Statements = append(p.m.Statements, s)
	return nil
}

// checkStatement completes a statement's effect. It returns why the statement cannot be in a migration, or an empty string.
func (p *parser) checkStatement(s *Statement, isBlock bool) string {
	if habit := findHabit(s.SQL, isBlock); habit != "" {
		return habit
	}
	if s.parts != nil {
		if reason := checkUnit(*s); reason != "" {
			return reason
		}
		s.effect, _ = unitEffect(s.parts)
	} else if word := forbiddenKeyword(s.SQL); word != "" {
		return word + " cannot be used in a migration: transactions, locks and the database are the runner's"
	}
	if s.Once && s.effect.kind != unknown {
		return "'-- once' is not needed: after an interruption it is known whether this was done"
	}
	return p.session.checkStatement(*s)
}

func (p *parser) readAnnotation(line string) error {
	name := strings.TrimSpace(strings.Replace(strings.TrimPrefix(strings.TrimSpace(line), "--"), "+goose", "", 1))
	if line[0] != '-' {
		return p.newError(p.line, "white space before '-- +goose %s'", name)
	}
	switch strings.ToUpper(name) {
	case "UP":
		if p.section != before {
			return p.newError(p.line, "'-- +goose Up' is expected once, before everything else")
		}
		p.section = up
	case "DOWN":
		if p.section != up || p.block {
			return p.newError(p.line, "'-- +goose Down' is expected once, after the Up section")
		}
		if err := p.checkFinished(); err != nil {
			return err
		}
		if err := p.checkNoDirective(); err != nil {
			return err
		}
		p.section = down
	case "STATEMENTBEGIN":
		if p.section == before || p.block {
			return p.newError(p.line, "'-- +goose StatementBegin' is expected inside the Up or the Down section, and not inside itself")
		}
		if err := p.checkFinished(); err != nil {
			return err
		}
		p.block, p.blockLine = true, p.line
	case "STATEMENTEND":
		if !p.block {
			return p.newError(p.line, "'-- +goose StatementEnd' without '-- +goose StatementBegin'")
		}
		if p.text.Len() == 0 {
			p.start = p.blockLine
		}
		return p.finishStatement()
	case "NO TRANSACTION":
		// Each statement is a step of its own here anyway.
	default:
		return p.newError(p.line, "'-- +goose %s' is not supported; known are Up, Down, StatementBegin, StatementEnd and NO TRANSACTION", name)
	}
	return nil
}

func (p *parser) checkFinished() error {
	if p.code || p.scan.mode != 0 {
		return p.newError(p.start, "the statement that starts here does not end with ';' at the end of a line")
	}
	// Nothing but comments: goose drops them here too.
	p.text.Reset()
	p.scan = scanner{}
	return nil
}

func (p *parser) finishFile() error {
	switch {
	case p.section == before:
		return &SyntaxError{File: p.file, Reason: "expected a line '-- +goose Up'"}
	case p.block:
		return p.newError(p.blockLine, "'-- +goose StatementBegin' without '-- +goose StatementEnd'")
	}
	if err := p.checkFinished(); err != nil {
		return err
	}
	if err := p.checkNoDirective(); err != nil {
		return err
	}
	if len(p.m.Statements) == 0 {
		return &SyntaxError{File: p.file, Reason: "the Up section has no statement"}
	}
	return nil
}
