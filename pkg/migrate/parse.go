package migrate

import (
	"fmt"
	"strconv"
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

	scan   scanner
	text   strings.Builder // the statement that is being read
	start  int             // its first line
	code   bool            // it has more than comments and semicolons
	verify string          // for the next statement
	header bool            // min_code_schema was seen
}

// parseFile reads a file's text. Line ends may be CRLF and the text may start with a byte order mark; neither changes
// a checksum. Every error is a *SyntaxError.
func parseFile(file, text string) (Migration, error) {
	p := &parser{file: file, m: Migration{File: file}}
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
			return p.readComment(trimmed)
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

// readComment reads a comment between statements, which may set min_code_schema or verify.
func (p *parser) readComment(line string) error {
	key, value, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "--")), ":")
	value = strings.TrimSpace(value)
	switch {
	case ok && key == "min_code_schema":
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil || n < 0:
			return p.newError(p.line, "min_code_schema: expected a whole number of 0 or more, got %q", value)
		case p.header:
			return p.newError(p.line, "min_code_schema is said twice")
		case p.section == down || len(p.m.Statements) > 0:
			return p.newError(p.line, "min_code_schema: expected before the first statement")
		}
		p.header, p.m.MinCodeSchema = true, n
	case ok && key == "verify" && p.section == up:
		value = strings.TrimSpace(strings.TrimSuffix(value, ";"))
		switch {
		case !strings.HasPrefix(strings.ToUpper(value), "SELECT "):
			return p.newError(p.line, "verify: expected a SELECT on the same line")
		case p.verify != "":
			return p.newError(p.line, "verify is said twice for one statement")
		}
		p.verify = value
	}
	return nil
}

func (p *parser) readSQL(line string) error {
	if p.text.Len() == 0 {
		p.start = p.line
	}
	p.text.WriteString(line + "\n")
	ended, second := false, false
	for rest := line + "\n"; rest != ""; {
		k, n := p.scan.scanNext(rest)
		if k == code || k == quoted {
			if k == code && rest[0] == ';' {
				ended = true
			} else {
				second = second || ended
				p.code = true
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
	sql, hasCode := strings.TrimSpace(p.text.String()), p.code
	verify, start := p.verify, p.start
	p.text.Reset()
	p.scan, p.code, p.verify = scanner{}, false, ""
	if p.section == down {
		return nil
	}
	if !hasCode {
		return p.newError(start, "an empty statement")
	}
	if word := forbiddenKeyword(sql); word != "" {
		return p.newError(start, "%s cannot be used in a migration: transactions, locks and the database are the runner's", word)
	}
	p.m.Statements = append(p.m.Statements, Statement{
		Number: len(p.m.Statements) + 1, Line: start, SQL: sql, Verify: verify, Hash: hashText(sql),
	})
	return nil
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
		p.block = false
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
	switch {
	case p.verify != "":
		return p.newError(p.line, "verify: expected a statement after it")
	case len(p.m.Statements) == 0:
		return &SyntaxError{File: p.file, Reason: "the Up section has no statement"}
	}
	return nil
}
