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
	unknown  effectKind = iota
	rows                // changes rows only, and commits together with its journal row
	settings            // changes this connection only, and must run again on every connection
	createTable
	dropTable
	addColumn
	dropColumn
	addIndex
	dropIndex
)

// transactionKeywords begin statements that a migration must not have.
var transactionKeywords = map[string]bool{
	"START": true, "BEGIN": true, "COMMIT": true, "ROLLBACK": true, "SAVEPOINT": true, "XA": true, "USE": true, "LOCK": true, "UNLOCK": true,
}

// forbiddenKeyword returns the keyword of a statement that must not be in a migration, or an empty string.
func forbiddenKeyword(sql string) string {
	first := true
	isSet := false
	for t := range tokens(sql) {
		switch {
		case first && t.isOneOf(transactionKeywords):
			return strings.ToUpper(t.text)
		case first:
			isSet = t.is("SET")
		case !isSet:
			return ""
		case t.is("AUTOCOMMIT"):
			return "SET autocommit"
		}
		first = false
	}
	return ""
}

// rowKeywords begin statements that change rows only, or nothing.
var rowKeywords = map[string]bool{"INSERT": true, "UPDATE": true, "DELETE": true, "REPLACE": true, "WITH": true, "SELECT": true, "DO": true}

// effectOf returns a statement's effect. What it does not fully understand is unknown.
func effectOf(sql string) effect {
	// The server executes these comments, or not: it depends on its version.
	if strings.Contains(sql, "/*!") || strings.Contains(sql, "/*M!") {
		return effect{}
	}
	if first := tokenize(sql, 1); len(first) > 0 && first[0].isOneOf(rowKeywords) {
		return effect{kind: rows}
	}
	r := &tokenReader{words: tokenizeStatement(sql)}
	switch {
	case r.takeKeywords("SET"):
		return r.takeSet()
	case r.takeKeywords("CREATE", "TABLE"):
		r.takeKeywords("IF", "NOT", "EXISTS")
		e := r.takeTable(createTable)
		for _, w := range r.words {
			if w.is("SELECT") {
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
		if first := clause[:min(1, len(clause))]; len(first) == 0 || !first[0].is("ALGORITHM") && !first[0].is("LOCK") {
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
	if !index && !r.takeKeywords("COLUMN") && len(r.words) > 0 && r.words[0].isOneOf(otherThanColumn) {
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

// serverScopes begin an assignment of SET that changes more than this connection.
var serverScopes = map[string]bool{"GLOBAL": true, "PERSIST": true, "PERSIST_ONLY": true}

// otherSets follow SET where it assigns no variable of this connection.
var otherSets = map[string]bool{"PASSWORD": true, "STATEMENT": true, "ROLE": true, "DEFAULT": true, "RESOURCE": true}

// takeSet tells SET statements that change this connection from those that change the server.
func (r *tokenReader) takeSet() effect {
	if len(r.words) > 0 && r.words[0].isOneOf(otherSets) {
		return effect{}
	}
	for _, clause := range r.splitClauses() {
		for len(clause) > 0 && clause[0].is("@") {
			clause = clause[1:]
		}
		if len(clause) > 0 && clause[0].isOneOf(serverScopes) {
			return effect{}
		}
	}
	return effect{kind: settings}
}
