package migrate

import (
	"fmt"
	"strings"
)

// A run that is interrupted between two statements continues in a new session. What a statement reads must therefore not
// depend on the session in which the statements before it were run. SET of a constant is the exception: the next run repeats it.

// asOneUnit is the way out of every refusal in this file.
const asOneUnit = "an interrupted run continues in a new session, without it. Put the statements that share it between " +
	"'-- +goose StatementBegin' and '-- +goose StatementEnd': they are run, journalled and repeated as one unit " +
	"(where one of them commits by itself, mark the block '-- once')"

// sessionState holds the traces that the statements of a file, up to some place, have left in the session.
type sessionState struct {
	variables map[string]variable // by name in lower case, those that were assigned
}

// variable is a variable of the session (@name).
type variable struct {
	line     int // of the statement that assigned it last
	constant bool
}

// checkStatement returns why the statement cannot be continued after an interruption, or an empty string, and records what
// it leaves in the session.
func (st *sessionState) checkStatement(s Statement) string {
	parts := s.parts
	if parts == nil {
		parts = []string{s.SQL}
		if s.effect.kind == settings {
			return st.checkSet(s)
		}
		if held := createsSessionObject(s.SQL); held != "" {
			return fmt.Sprintf("%s lasts as long as the session: %s", held, asOneUnit)
		}
	}
	local, outer := map[string]bool{}, map[string]bool{}
	for i, part := range parts {
		if isCompound(part) {
			continue // its statements are run later, in a session of their own
		}
		u := readUsage(part)
		if i == 0 && u.previous != "" {
			return fmt.Sprintf("%s is about the statement before it in the same session: %s", u.previous, asOneUnit)
		}
		if reason := st.checkVariables(u, local, outer); reason != "" {
			return reason
		}
	}
	for name := range local {
		st.variables[name] = variable{line: s.Line}
	}
	return ""
}

// checkVariables checks one part of a statement. local holds the variables that the statement has assigned so far, outer those
// that it has read from before it.
func (st *sessionState) checkVariables(u usage, local, outer map[string]bool) string {
	for _, name := range u.reads {
		before, isSet := st.variables[name]
		switch {
		case local[name], !isSet:
		case !before.constant:
			return fmt.Sprintf("@%s has the value that the statement in line %d gave it: %s", name, before.line, asOneUnit)
		default:
			outer[name] = true
		}
	}
	for _, name := range u.assigns {
		if outer[name] && !local[name] {
			return fmt.Sprintf("@%s is set in line %d and changed here, which a second try would do twice: put SET @%s and this statement between "+
				"'-- +goose StatementBegin' and '-- +goose StatementEnd'", name, st.variables[name].line, name)
		}
		local[name] = true
	}
	return ""
}

// checkSet checks a SET of the session. The next run repeats it, so its value must be the same then.
func (st *sessionState) checkSet(s Statement) string {
	r := &tokenReader{words: tokenizeStatement(s.SQL)}
	r.takeKeywords("SET")
	if len(r.words) > 0 && r.words[0].is("TRANSACTION") {
		return "SET TRANSACTION is for the next transaction only, which is the runner's: write SET SESSION TRANSACTION"
	}
	for _, clause := range r.splitClauses() {
		target, value := cutAssignment(clause)
		if target == nil {
			continue // SET NAMES, SET SESSION TRANSACTION
		}
		if last := target[len(target)-1]; last.isOneOf(nextStatementOnly) {
			return fmt.Sprintf("SET %s is for the statement after it in the same session: %s", last.text, asOneUnit)
		}
		if source := st.findChanging(value); source != "" {
			return fmt.Sprintf("SET takes a value from %s, which an interrupted run would evaluate again on changed data: %s", source, asOneUnit)
		}
		if len(target) > 1 && target[0].is("@") && !target[1].is("@") {
			st.variables[strings.ToLower(target[1].text)] = variable{line: s.Line, constant: true}
		}
	}
	return ""
}

// nextStatementOnly holds the variables whose value the next statement uses up.
var nextStatementOnly = map[string]bool{"INSERT_ID": true, "LAST_INSERT_ID": true, "IDENTITY": true, "RAND_SEED1": true, "RAND_SEED2": true}

// cutAssignment splits "target = value". target is nil if the clause assigns nothing.
func cutAssignment(clause []token) (target, value []token) {
	for i, t := range clause {
		if t.is("=") && i > 0 {
			target = clause[:i]
			if target[len(target)-1].is(":") {
				target = target[:len(target)-1]
			}
			if len(target) == 0 {
				return nil, nil
			}
			return target, clause[i+1:]
		}
	}
	return nil, nil
}

// pureFunctions have the same result for the same arguments.
var pureFunctions = map[string]bool{
	"CONCAT": true, "CONCAT_WS": true, "REPLACE": true, "LOWER": true, "UPPER": true, "TRIM": true, "LTRIM": true, "RTRIM": true, "LEFT": true, "RIGHT": true,
	"SUBSTRING": true, "SUBSTR": true, "LPAD": true, "RPAD": true, "REPEAT": true, "LENGTH": true, "CHAR_LENGTH": true, "HEX": true, "UNHEX": true,
	"IF": true, "IFNULL": true, "NULLIF": true, "COALESCE": true, "GREATEST": true, "LEAST": true, "IN": true,
	"CAST": true, "CONVERT": true, "ABS": true, "ROUND": true, "FLOOR": true, "CEIL": true, "CEILING": true, "MOD": true, "POW": true, "POWER": true,
	"DATE": true, "TIMESTAMP": true, "STR_TO_DATE": true, "DATE_ADD": true, "DATE_SUB": true, "AND": true, "OR": true, "NOT": true,
	"CHAR": true, "BINARY": true, "DECIMAL": true, "JSON_ARRAY": true, "JSON_OBJECT": true, "JSON_QUOTE": true,
}

// changingWords are functions that need no parentheses, and SELECT.
var changingWords = map[string]bool{
	"SELECT": true, "TABLE": true, "CURRENT_TIMESTAMP": true, "CURRENT_DATE": true, "CURRENT_TIME": true, "LOCALTIME": true, "LOCALTIMESTAMP": true,
	"UTC_DATE": true, "UTC_TIME": true, "UTC_TIMESTAMP": true,
}

// findChanging names what in a SET's value may differ when it is evaluated again, or returns an empty string.
func (st *sessionState) findChanging(value []token) string {
	for i, t := range value {
		var next token
		if i+1 < len(value) {
			next = value[i+1]
		}
		switch {
		case t.isOneOf(changingWords):
			return "a " + strings.ToUpper(t.text)
		case t.isWord() && next.is("(") && !t.isOneOf(pureFunctions):
			return t.text + "()"
		case t.quoted && !t.string && next.is("("):
			return t.text + "()"
		case t.is("@") && next.is("@") && i+2 < len(value) && value[i+2].isOneOf(serverScopes):
			return "a global variable"
		case t.isOneOf(previousVariables) && i > 0 && (value[i-1].is("@") || value[i-1].is(".")):
			return "@@" + strings.ToLower(t.text)
		case t.is("@") && (i == 0 || !value[i-1].is("@")):
			if v, isSet := st.variables[strings.ToLower(next.text)]; isSet && !v.constant {
				return "@" + next.text
			}
		case t.is(":") && next.is("="):
			return "an assignment"
		}
	}
	return ""
}

// createsSessionObject names what a statement creates in the session or uses of it, or returns an empty string.
func createsSessionObject(sql string) string {
	r := &tokenReader{words: tokenize(sql, 12)}
	switch {
	case takeTemporary(r, "CREATE"):
		return "a temporary table"
	case r.takeKeywords("PREPARE"), r.takeKeywords("DEALLOCATE"), r.takeKeywords("DROP", "PREPARE"), r.takeKeywords("EXECUTE") && !r.takeKeywords("IMMEDIATE"):
		return "a prepared statement"
	case r.takeKeywords("HANDLER"):
		return "an open HANDLER"
	}
	return ""
}
