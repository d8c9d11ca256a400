package migrate

import (
	"strconv"
	"strings"
)

// Directives are comments that the runner obeys. They stand in comments of any kind before a statement's first token:
//
//	-- min_code_schema: 11     before the first statement of the file
//	-- verify: SELECT ...      goes on over the comment lines after it, up to a ';' at the end of a line
//	-- once
//
// A comment that looks like a directive and is none is refused, since the protection that it was meant to give would be missing.

// directives holds the directives of one statement.
type directives struct {
	verify     []string // the lines of the query
	verifyLine int      // of the directive
	lastLine   int      // of the query; 0 once it has ended
	once       bool
}

// commentText returns what a line of a comment says, without its markers.
func commentText(line string) string {
	line = strings.TrimSpace(line)
	switch {
	case strings.HasPrefix(line, "--"):
		return strings.TrimSpace(strings.TrimLeft(line, "-"))
	case strings.HasPrefix(line, "#"):
		return strings.TrimSpace(strings.TrimLeft(line, "#"))
	case strings.HasPrefix(line, "/*"):
		line = strings.TrimLeft(line[1:], "*")
	case line == "*" || strings.HasPrefix(line, "* "):
		line = line[1:] // the margin of a long comment
	}
	return strings.TrimSpace(strings.TrimSuffix(line, "*/"))
}

// readComment reads one line of a comment.
func (p *parser) readComment(text string) error {
	name, value, mistake := parseDirective(text)
	switch {
	case p.section == down && name != "min_code_schema":
		return nil
	case mistake != "":
		return p.newError(p.line, "%s", mistake)
	case name == "":
		p.continueVerify(text)
		return nil
	}
	p.next.lastLine = 0
	if name == "min_code_schema" {
		return p.readMinCodeSchema(value)
	}
	if p.code {
		return p.newError(p.line, "%s: expected in a comment before the statement that it is for, not inside or behind one", name)
	}
	if name == "once" {
		p.next.once = true
		return nil
	}
	if p.next.verify != nil {
		return p.newError(p.line, "verify is said twice for one statement")
	}
	p.next.verify, p.next.verifyLine, p.next.lastLine = []string{value}, p.line, p.line
	p.endVerify(value)
	return nil
}

func (p *parser) readMinCodeSchema(value string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil || n < 0:
		return p.newError(p.line, "min_code_schema: expected a whole number of 0 or more, got %q", value)
	case p.header:
		return p.newError(p.line, "min_code_schema is said twice")
	case p.section == down || p.code || len(p.m.Statements) > 0:
		return p.newError(p.line, "min_code_schema: expected before the first statement")
	}
	p.header, p.m.MinCodeSchema = true, n
	return nil
}

// continueVerify adds a comment line to the query that the line before it belongs to.
func (p *parser) continueVerify(text string) {
	if p.next.lastLine == 0 || p.next.lastLine != p.line-1 || p.code {
		p.next.lastLine = 0
		return
	}
	p.next.verify, p.next.lastLine = append(p.next.verify, text), p.line
	p.endVerify(text)
}

// endVerify ends the query if line ends it.
func (p *parser) endVerify(line string) {
	if strings.HasSuffix(line, ";") {
		p.next.lastLine = 0
	}
}

// finishVerify returns the query of a statement's directives.
func (p *parser) finishVerify(d directives) (string, error) {
	if d.verify == nil {
		return "", nil
	}
	query := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(strings.Join(d.verify, "\n")), ";"))
	words := tokenize(query, 2)
	if len(words) < 2 || !words[0].is("SELECT") {
		return "", p.newError(d.verifyLine, "verify: expected a SELECT")
	}
	for t := range tokens(query) {
		if t.is(";") {
			return "", p.newError(d.verifyLine, "verify: expected one SELECT, and no ';' but at its end")
		}
	}
	if d.once {
		return "", p.newError(d.verifyLine, "expected either verify or once: with verify no person needs to decide")
	}
	return query, nil
}

// checkNoDirective returns an error if a directive has no statement after it.
func (p *parser) checkNoDirective() error {
	switch {
	case p.next.verify != nil:
		return p.newError(p.line, "verify: expected a statement after it")
	case p.next.once:
		return p.newError(p.line, "once: expected a statement after it")
	}
	return nil
}

// parseDirective returns the directive in a comment's line, with an empty name if there is none. mistake is not empty if the
// line looks like a directive and is none.
func parseDirective(text string) (name, value, mistake string) {
	key, after, hasColon := strings.Cut(text, ":")
	switch {
	case hasColon && (key == "min_code_schema" || key == "verify"):
		return key, strings.TrimSpace(after), ""
	case text == "once":
		return text, "", ""
	case resemblesMinCodeSchema(text):
		return "min_code_schema", "", strconv.Quote(text) + ` looks like a directive and is none: expected "min_code_schema: NUMBER", as in "min_code_schema: 11"`
	case resemblesVerify(text):
		return "verify", "", strconv.Quote(text) + ` looks like a directive and is none: expected "verify: SELECT ..."`
	case strings.EqualFold(strings.Trim(text, " .:;!"), "once"):
		return "once", "", strconv.Quote(text) + ` looks like a directive and is none: expected "once"`
	}
	return "", "", ""
}

// resemblesMinCodeSchema reports whether the start of a comment is min_code_schema with another case, separator or spelling.
func resemblesMinCodeSchema(text string) bool {
	text = text[:min(len(text), maxKeyword)]
	words := strings.Fields(text)
	if len(words) == 0 {
		return false
	}
	candidates := []string{words[0], strings.Join(words[:min(2, len(words))], ""), strings.Join(words[:min(3, len(words))], "")}
	if i := strings.IndexAny(text, ":="); i >= 0 && len(strings.Fields(text[:i])) <= 3 {
		candidates = append(candidates, text[:i])
	}
	for _, c := range candidates {
		c = keepLetters(c)
		if len(c) <= 24 && strings.HasPrefix(c, "min") && strings.HasSuffix(c, "schema") || editDistance(c, "mincodeschema") <= 3 {
			return true
		}
	}
	return false
}

// resemblesVerify reports whether a comment is verify with another case, separator or spelling. Prose such as "verify that ..."
// is none.
func resemblesVerify(text string) bool {
	text = text[:min(len(text), maxKeyword)]
	end := 0
	for end < len(text) && keepLetters(text[end:end+1]) != "" {
		end++
	}
	distance := editDistance(keepLetters(text[:end]), "verify")
	after := strings.TrimSpace(text[end:])
	query := strings.ToUpper(strings.TrimLeft(after, ":= \t"))
	isQuery := strings.HasPrefix(query, "SELECT ") || strings.HasPrefix(query, "(SELECT ")
	return distance <= 1 && (strings.HasPrefix(after, ":") || strings.HasPrefix(after, "=")) || distance <= 2 && isQuery
}

// keepLetters returns the ASCII letters of text in lower case.
func keepLetters(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z':
			return r
		}
		return -1
	}, text)
}

// editDistance counts the letters to insert, remove or replace to make b of a. It is a large number for texts of very different
// lengths.
func editDistance(a, b string) int {
	if len(a) > 2*len(b) {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
