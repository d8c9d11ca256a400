package migrate

import "strings"

// effect is what a statement does, as far as it matters for deciding whether it was done.
type effect struct {
	kind          effectKind
	schema, table string // schema is empty for the database that is migrated
	name          string // of the column or index
}

type effectKind int

const (
	unknown effectKind = iota
	rows               // changes rows only: commits together with its journal row
	session            // changes this connection only: has to run again on every connection
	createTable
	dropTable
	addColumn
	dropColumn
	addIndex
	dropIndex
)

// word is a token of SQL: a bare word in upper case, a quoted name as it is, or one character.
type word struct {
	text   string // as written, quotes removed
	upper  string // the keyword it could be; empty when quoted
	quoted bool
	string bool // in quotes that may be a string's
}

func words(sql string) []word {
	var out []word
	var s scan
	isWord := func(c byte) bool {
		return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	joins := false // the last token is a word that the next character may go on with
	for i := 0; i < len(sql); {
		opened := s.mode == 0
		k, n := s.step(sql[i:])
		part := sql[i : i+n]
		i += n
		switch {
		case k == quoted && opened:
			out = append(out, word{quoted: true, string: part != "`"})
		case k == quoted && s.mode != 0:
			out[len(out)-1].text += unescape(part)
		case k == code && isWord(part[0]) && joins:
			last := &out[len(out)-1]
			last.text += part
			last.upper = strings.ToUpper(last.text)
		case k == code:
			out = append(out, word{text: part, upper: strings.ToUpper(part)})
		}
		joins = k == code && isWord(part[0])
	}
	return out
}

// unescape undoes the doubling of a quote.
func unescape(part string) string {
	if len(part) == 2 && part[0] == part[1] && part[0] != '\\' {
		return part[:1]
	}
	return part
}

// refused returns the keyword of a statement that must not be in a migration, or an empty string.
func refused(sql string) string {
	w := words(sql)
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

// effectOf reads what a statement does. It is careful: what it does not fully understand is unknown.
func effectOf(sql string) effect {
	// The server runs what is in these comments.
	if strings.Contains(sql, "/*!") || strings.Contains(sql, "/*M!") {
		return effect{}
	}
	r := &reader{words: words(strings.TrimRight(strings.TrimSpace(sql), "; \n\t"))}
	switch {
	case r.take("INSERT"), r.take("UPDATE"), r.take("DELETE"), r.take("REPLACE"), r.take("WITH"), r.take("SELECT"), r.take("DO"):
		return effect{kind: rows}
	case r.take("SET"):
		return r.set()
	case r.take("CREATE", "TABLE"):
		r.take("IF", "NOT", "EXISTS")
		e := r.table(createTable)
		for _, w := range r.words {
			if w.upper == "SELECT" {
				return effect{} // two steps on some servers
			}
		}
		return e
	case r.take("DROP", "TABLE"):
		r.take("IF", "EXISTS")
		e := r.table(dropTable)
		_ = r.take("RESTRICT") || r.take("CASCADE")
		return r.onlyIfAtEnd(e)
	case r.take("CREATE", "INDEX"), r.take("CREATE", "UNIQUE", "INDEX"), r.take("CREATE", "FULLTEXT", "INDEX"), r.take("CREATE", "SPATIAL", "INDEX"):
		r.take("IF", "NOT", "EXISTS")
		return r.indexOn(addIndex)
	case r.take("DROP", "INDEX"):
		r.take("IF", "EXISTS")
		return r.indexOn(dropIndex)
	case r.take("ALTER", "TABLE"):
		return alterTable(r)
	}
	return effect{}
}

// alterTable reads ALTER TABLE with one clause, which may be followed by ALGORITHM= and LOCK=.
func alterTable(r *reader) effect {
	e := r.table(unknown)
	if e.table == "" {
		return effect{}
	}
	for _, clause := range r.clauses()[1:] {
		if first := clause[:min(1, len(clause))]; len(first) == 0 || first[0].upper != "ALGORITHM" && first[0].upper != "LOCK" {
			return effect{}
		}
	}
	adding := r.take("ADD")
	if !adding && !r.take("DROP") {
		return effect{}
	}
	index := r.take("INDEX") || r.take("KEY")
	if !index && adding {
		index = r.take("UNIQUE", "INDEX") || r.take("UNIQUE", "KEY") || r.take("FULLTEXT", "INDEX") || r.take("FULLTEXT", "KEY") ||
			r.take("SPATIAL", "INDEX") || r.take("SPATIAL", "KEY")
	}
	if !index && !r.take("COLUMN") && len(r.words) > 0 && notAColumn[r.words[0].upper] {
		return effect{}
	}
	_ = r.take("IF", "NOT", "EXISTS") || r.take("IF", "EXISTS")
	if e.name = r.name(); e.name == "" {
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

// notAColumn are the words after ADD or DROP that begin something other than a column.
var notAColumn = map[string]bool{
	"CONSTRAINT": true, "PRIMARY": true, "FOREIGN": true, "CHECK": true, "PARTITION": true, "SYSTEM": true,
	"PERIOD": true, "UNIQUE": true, "FULLTEXT": true, "SPATIAL": true, "VECTOR": true,
}

// reader takes words from the front.
type reader struct{ words []word }

// take removes the keywords from the front if they are there, all of them, and says whether they were.
func (r *reader) take(keywords ...string) bool {
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

// name takes a name, quoted or not. It returns an empty string when there is none.
func (r *reader) name() string {
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

// table takes a table's name, with or without its schema.
func (r *reader) table(k effectKind) effect {
	name := r.name()
	if name == "" {
		return effect{}
	}
	if r.take(".") {
		table := r.name()
		if table == "" {
			return effect{}
		}
		return effect{kind: k, schema: name, table: table}
	}
	return effect{kind: k, table: name}
}

// indexOn takes "name ON table", also with USING between them.
func (r *reader) indexOn(k effectKind) effect {
	name := r.name()
	if r.take("USING") {
		r.name()
	}
	if name == "" || !r.take("ON") {
		return effect{}
	}
	e := r.table(k)
	e.name = name
	return e
}

// set tells the SET statements that change this connection from those that change the server.
func (r *reader) set() effect {
	for _, w := range r.words[:min(3, len(r.words))] {
		switch w.upper {
		case "GLOBAL", "PERSIST", "PERSIST_ONLY", "PASSWORD", "STATEMENT", "ROLE", "DEFAULT", "RESOURCE":
			return effect{}
		}
	}
	return effect{kind: session}
}

func (r *reader) onlyIfAtEnd(e effect) effect {
	if len(r.words) > 0 {
		return effect{}
	}
	return e
}

// clauses splits what is left at the commas that are not in parentheses.
func (r *reader) clauses() [][]word {
	out, depth := [][]word{nil}, 0
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
