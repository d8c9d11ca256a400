package migrate

import "strings"

// asOneStatement is the way out where a statement was cut at a semicolon inside.
const asOneStatement = "put the whole statement between '-- +goose StatementBegin' and '-- +goose StatementEnd'"

// findHabit returns what to write in place of a habit from other tools, which the server would answer with a syntax error far from
// its cause. It is empty if there is none. isBlock tells that sql stands in a block.
func findHabit(sql string, isBlock bool) string {
	first := tokenize(sql, 1)
	switch {
	case len(first) == 0:
		return ""
	case first[0].is("DELIMITER"):
		return "DELIMITER is a command of the mysql client, not SQL: leave it out, and " + asOneStatement
	case strings.HasPrefix(sql, "/*!"), strings.HasPrefix(sql, "/*M!"):
		return "a server runs what is in '/*! ... */' or not, depending on its version, so that it is unknown what was done: write the statement without it"
	case findForeign(sql, serverDatabases) != "":
		return "the database " + findForeign(sql, serverDatabases) + " belongs to the server: a migration may use its own database only"
	case dropsDatabase(sql):
		return "databases are created and dropped by bootcheck: a migration may change what is in its own database only"
	case !isBlock && isCompound(sql) && isCut(sql):
		return "the statement ends in the middle of its body, since it has semicolons inside: " + asOneStatement
	}
	return ""
}

// bodyStarts are keywords that open a body of statements, which END closes.
var bodyStarts = map[string]bool{"BEGIN": true, "THEN": true, "LOOP": true, "WHILE": true}

// isCut reports whether a body of statements is opened and never closed.
func isCut(sql string) bool {
	isOpen := false
	for t := range tokens(sql) {
		switch {
		case t.isOneOf(bodyStarts):
			isOpen = true
		case t.is("END"):
			return false
		}
	}
	return isOpen
}

func dropsDatabase(sql string) bool {
	words := tokenize(sql, 4)
	if len(words) < 2 || !words[0].is("DROP") && !words[0].is("CREATE") {
		return false
	}
	if words[1].is("OR") && len(words) == 4 {
		return words[3].is("DATABASE") || words[3].is("SCHEMA")
	}
	return words[1].is("DATABASE") || words[1].is("SCHEMA")
}
