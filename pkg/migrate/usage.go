package migrate

import "strings"

// usage lists what one statement has to do with the session.
type usage struct {
	reads, assigns []string // variables (@name), in lower case and in order
	previous       string   // what it asks about the statement before it; empty for nothing
}

// previousFunctions are about the statement before, without an argument.
var previousFunctions = map[string]bool{"LAST_INSERT_ID": true, "ROW_COUNT": true, "FOUND_ROWS": true}

// previousVariables are the same as variables of the server (@@name).
var previousVariables = map[string]bool{"LAST_INSERT_ID": true, "IDENTITY": true, "WARNING_COUNT": true, "ERROR_COUNT": true}

// usageReader reads tokens one by one and keeps the last few.
type usageReader struct {
	usage      usage
	first      token
	count      int
	depth      int      // of parentheses
	last       [4]token // the newest first
	variable   string   // a variable that was read and may turn out to be assigned with :=
	isInto     bool     // in the list after INTO
	isVariable bool     // the next token is a variable's name
}

// readUsage reads one statement. A variable that the statement assigns and reads is in both lists: in "@n := @n + 1" the value
// before it counts.
func readUsage(sql string) usage {
	r := &usageReader{}
	for t := range tokens(sql) {
		r.read(t)
	}
	r.endVariable(false)
	return r.usage
}

func (r *usageReader) read(t token) {
	if r.count == 0 {
		r.first = t
	}
	r.count++
	switch {
	case r.isVariable:
		r.isVariable = false
		r.readVariable(t)
	case t.is("@"):
		r.endVariable(false)
		r.isVariable = !r.last[0].is("@") && !r.isAccount(t)
	case r.variable != "" && t.is(":"):
	case r.variable != "" && t.is("=") && r.last[0].is(":"):
		r.endVariable(true)
	default:
		r.endVariable(false)
		r.readOther(t)
	}
	r.last[3], r.last[2], r.last[1], r.last[0] = r.last[2], r.last[1], r.last[0], t
}

// readVariable reads the token after @: a variable's name, or a second @ of a server's variable.
func (r *usageReader) readVariable(t token) {
	if t.is("@") || !t.quoted && !t.isWord() {
		return
	}
	r.variable = strings.ToLower(t.text)
	before := r.last[1] // the token before @
	isTarget := r.first.is("SET") && r.depth == 0 && (r.count == 3 || before.is(","))
	if r.isInto || isTarget || r.first.is("LOAD") || r.first.is("GET") {
		r.endVariable(true)
	} else if r.first.is("CALL") {
		r.usage.reads = append(r.usage.reads, r.variable)
		r.endVariable(true)
	}
}

// endVariable files the variable that was read last.
func (r *usageReader) endVariable(assigned bool) {
	switch {
	case r.variable == "":
	case assigned:
		r.usage.assigns = append(r.usage.assigns, r.variable)
	default:
		r.usage.reads = append(r.usage.reads, r.variable)
	}
	r.variable = ""
}

func (r *usageReader) readOther(t token) {
	switch {
	case t.is("("):
		r.depth++
	case t.is(")"):
		r.depth--
		if r.last[0].is("(") && r.last[1].isOneOf(previousFunctions) {
			r.usage.previous = strings.ToUpper(r.last[1].text) + "()"
		}
	case r.last[0].is("@") && r.last[1].is("@") && t.isOneOf(previousVariables),
		r.last[0].is(".") && r.last[2].is("@") && r.last[3].is("@") && t.isOneOf(previousVariables):
		r.usage.previous = "@@" + strings.ToLower(t.text)
	case t.is("DIAGNOSTICS") && r.first.is("GET"):
		r.usage.previous = "GET DIAGNOSTICS"
	case r.last[0].is("PREVIOUS") && t.is("VALUE"):
		r.usage.previous = "PREVIOUS VALUE"
	}
	if t.is("(") && r.last[0].is("LASTVAL") {
		r.usage.previous = "LASTVAL()"
	}
	r.isInto = t.is("INTO") || r.isInto && t.is(",")
}

// isAccount reports whether the @ stands in an account's name, as in 'name'@'host'.
func (r *usageReader) isAccount(at token) bool {
	before := r.last[0]
	switch {
	case !at.joined || r.count == 1:
		return false
	case before.quoted:
		return true
	}
	return before.isWord() && (r.last[1].is("=") && r.last[2].is("DEFINER") || r.first.is("GRANT") || r.first.is("REVOKE") ||
		r.first.is("CREATE") || r.first.is("ALTER") || r.first.is("DROP"))
}
