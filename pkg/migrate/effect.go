package migrate

import "strings"

// effect describes a statement, as far as it matters for deciding whether it was done.
type effect struct {
	kind          effectKind
	schema, table string // schema is empty for the database that is migrated
	name          string // of the column or index
}

type effectKind int

const (
	unknown effectKind = iota
	rows               // changes rows only, and commits together with its journal row
	session            // changes this connection only, and must run again on every connection
	createTable
	dropTable
	addColumn
	dropColumn
	addIndex
	dropIndex
)

// token is a token of SQL: a bare word, a quoted name, or one character.
type token struct {
	text   string // as written, quotes removed
	upper  string // the keyword it could be; empty when quoted
	quoted bool
	string bool // in quotes that may be a string's
}

func tokenize(sql string) []token {
	var out []token
	var s scanner
	isWord := func(c byte) bool {
		return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	joins := false // the last token is a word that the next character may continue
	for i := 0; i < len(sql); {
		opened := s.mode == 0
		k, n := s.scanNext(sql[i:])
		part := sql[i : i+n]
		i += n
		switch {
		case k == quoted && opened:
			out = append(out, token{quoted: true, string: part != "`"})
		case k == quoted && s.mode != 0:
			out[len(out)-1].text += unescapeQuote(part)
		case k == code && isWord(part[0]) && joins:
			last := &out[len(out)-1]
			last.text += part
			last.upper = strings.ToUpper(last.text)
		case k == code:
			out = append(out, token{text: part, upper: strings.ToUpper(part)})
		}
		joins = k == code && isWord(part[0])
	}
	return out
}

// unescapeQuote undoes the doubling of a quote.
func unescapeQuote(part string) string {
	if len(part) == 2 && part[0] == part[1] && part[0] != '\\' {
		return part[:1]
	}
	return part
}

// forbiddenKeyword returns the keyword of a statement that must not be in a migration, or an empty string.
func forbiddenKeyword(sql string) string {
	w := tokenize(sql)
	if len(w) == 0 {
		return ""
	}
	switch w[0].upper {
	case "SET":
		for _, x := range w {
			if x.upper == "AUTOCOMMIT" {
				return "SET autocommit"
			}
		}
	case "START", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "XA", "USE", "LOCK", "UNLOCK", "DELIMITER":
		return w[0].upper
	}
	return ""
}

// effectOf returns a statement's effect. What it does not fully understand is unknown.
func effectOf(sql string) effect {
	// The server executes these comments.
	if strings.Contains(sql, "/*!") || strings.Contains(sql, "/*M!") {
		return effect{}
	}
	r := &tokenReader{words: tokenize(strings.TrimRight(strings.TrimSpace(sql), "; \n\t"))}
	switch {
	case r.takeKeywords("INSERT"), r.takeKeywords("UPDATE"), r.takeKeywords("DELETE"), r.takeKeywords("REPLACE"), r.takeKeywords("WITH"), r.takeKeywords("SELECT"), r.takeKeywords("DO"):
		return effect{kind: rows}
	case r.takeKeywords("SET"):
		return r.takeSet()
	case r.takeKeywords("CREATE", "TABLE"):
		r.takeKeywords("IF", "NOT", "EXISTS")
		e := r.takeTable(createTable)
		for _, w := range r.words {
			if w.upper == "SELECT" {
				return effect{} // two steps on some servers
			}
		}
		return e
	case r.takeKeywords("DROP", "TABLE"):
		r.takeKeywords("IF", "EXISTS")
		e := r.takeTable(dropTable)
		_ = r.takeKeywords("RESTRICT") || r.takeKeywords("CASCADE")
		return r.onlyIfAtEnd(e)
	case r.takeKeywords("CREATE", "INDEX"), r.takeKeywords("CREATE", "UNIQUE", "INDEX"), r.takeKeywords("CREATE", "FULLTEXT", "INDEX"), r.takeKeywords("CREATE", "SPATIAL", "INDEX"):
		r.takeKeywords("IF", "NOT", "EXISTS")
		return r.takeIndexOn(addIndex)
	case r.takeKeywords("DROP", "INDEX"):
		r.takeKeywords("IF", "EXISTS")
		return r.takeIndexOn(dropIndex)
	case r.takeKeywords("ALTER", "TABLE"):
		return alterTable(r)
	}
	return effect{}
}

// alterTable reads ALTER TABLE with one clause, which may be followed by ALGORITHM= and LOCK=.
func alterTable(r *tokenReader) effect {
	e := r.takeTable(unknown)
	if e.table == "" {
		return effect{}
	}
	for _, clause := range r.splitClauses()[1:] {
		if first := clause[:min(1, len(clause))]; len(first) == 0 || first[0].upper != "ALGORITHM" && first[0].upper != "LOCK" {
			return effect{}
		}
	}
	adding := r.takeKeywords("ADD")
	if !adding && !r.takeKeywords("DROP") {
		return effect{}
	}
	index := r.takeKeywords("INDEX") || r.takeKeywords("KEY")
	if !index && adding {
		index = r.takeKeywords("UNIQUE", "INDEX") || r.takeKeywords("UNIQUE", "KEY") || r.takeKeywords("FULLTEXT", "INDEX") || r.takeKeywords("FULLTEXT", "KEY") ||
			r.takeKeywords("SPATIAL", "INDEX") || r.takeKeywords("SPATIAL", "KEY")
	}
	if !index && !r.takeKeywords("COLUMN") && len(r.words) > 0 && otherThanColumn[r.words[0].upper] {
		return effect{}
	}
	_ = r.takeKeywords("IF", "NOT", "EXISTS") || r.takeKeywords("IF", "EXISTS")
	if e.name = r.takeName(); e.name == "" {
		return effect{}
	}
	switch {
	case adding && index:
		e.kind = addIndex
	case adding:
		e.kind = addColumn
	case index:
		e.kind = dropIndex
	default:
		e.kind = dropColumn
	}
	return e
}

// otherThanColumn holds the words after ADD or DROP that do not begin a column.
var otherThanColumn = map[string]bool{
	"CONSTRAINT": true, "PRIMARY": true, "FOREIGN": true, "CHECK": true, "PARTITION": true, "SYSTEM": true,
	"PERIOD": true, "UNIQUE": true, "FULLTEXT": true, "SPATIAL": true, "VECTOR": true,
}

// tokenReader takes tokens from the front.
type tokenReader struct{ words []token }

// takeKeywords removes the keywords from the front if all are there, and reports whether it did.
func (r *tokenReader) takeKeywords(keywords ...string) bool {
	if len(r.words) < len(keywords) {
		return false
	}
	for i, k := range keywords {
		if r.words[i].upper != k {
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
	if w.string || !w.quoted && strings.ContainsAny(w.text[:1], "(),.;=@*+-/<>!:?&|%^~{}[]") {
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

// takeSet tells SET statements that change this connection from those that change the server.
func (r *tokenReader) takeSet() effect {
	for _, w := range r.words[:min(3, len(r.words))] {
		switch w.upper {
		case "GLOBAL", "PERSIST", "PERSIST_ONLY", "PASSWORD", "STATEMENT", "ROLE", "DEFAULT", "RESOURCE":
			return effect{}
		}
	}
	return effect{kind: session}
}

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
		switch w.upper {
		case "(":
			depth++
		case ")":
			depth--
		}
		if w.upper == "," && depth == 0 {
			out = append(out, nil)
			continue
		}
		out[len(out)-1] = append(out[len(out)-1], w)
	}
	return out
}
