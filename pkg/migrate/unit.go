package migrate

import (
	"fmt"
	"strings"
)

// splitBlock returns the statements of a block, without the semicolons between them. A procedure, function, trigger or event
// extends to the end of the block, since it has semicolons inside. A block with fewer than two statements has no parts.
func splitBlock(sql string) []string {
	var parts []string
	var s scanner
	start, hasCode := 0, false
	add := func(end int) {
		if hasCode {
			parts = append(parts, strings.TrimSpace(sql[start:end]))
		}
		hasCode = false
	}
	for i := 0; i < len(sql); {
		k, n := s.scanNext(sql[i:])
		switch {
		case k == code && sql[i] == ';':
			if hasCode && isCompound(sql[start:i]) {
				i = len(sql)
				continue
			}
			add(i)
			start = i + 1
		case k == code || k == quoted:
			hasCode = true
		}
		i += n
	}
	add(len(sql))
	if len(parts) < 2 {
		return nil
	}
	return parts
}

// isCompound reports whether sql creates something that may have statements inside.
func isCompound(sql string) bool {
	r := &tokenReader{words: tokenize(sql, 16)}
	if !r.takeKeywords("CREATE") && !r.takeKeywords("ALTER") {
		return false
	}
	r.takeKeywords("OR", "REPLACE")
	if r.takeKeywords("DEFINER", "=") && len(r.words) > 0 {
		r.words = r.words[1:]
		if r.takeKeywords("@") && len(r.words) > 0 {
			r.words = r.words[1:]
		}
		r.takeKeywords("(", ")")
	}
	r.takeKeywords("AGGREGATE")
	for _, k := range []string{"PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE"} {
		if r.takeKeywords(k) {
			return true
		}
	}
	return false
}

// unitEffect returns the effect of a block of several statements: they change rows only if the server can roll back each of
// them. Otherwise it names the first statement that it cannot roll back.
func unitEffect(parts []string) (e effect, commits string) {
	prepared := map[string]bool{} // by name: the prepared statement changes rows only
	for _, part := range parts {
		if !canRollBack(part, prepared) {
			return effect{}, part
		}
	}
	return effect{kind: rows}, ""
}

func canRollBack(part string, prepared map[string]bool) bool {
	if k := effectOf(part).kind; k == rows || k == settings {
		return true
	}
	r := &tokenReader{words: tokenize(part, 6)}
	switch {
	case takeTemporary(r, "CREATE"), r.takeKeywords("DROP", "TEMPORARY", "TABLE"), r.takeKeywords("DEALLOCATE"), r.takeKeywords("DROP", "PREPARE"):
		return true
	case r.takeKeywords("PREPARE"):
		name := strings.ToLower(r.takeName())
		prepared[name] = r.takeKeywords("FROM") && len(r.words) > 0 && r.words[0].string && effectOf(r.words[0].text).kind == rows
		return true
	case r.takeKeywords("EXECUTE"):
		return prepared[strings.ToLower(r.takeName())]
	}
	return false
}

// takeTemporary takes the start of a statement that creates a temporary table, up to its name.
func takeTemporary(r *tokenReader, verb string) bool {
	if !r.takeKeywords(verb, "TEMPORARY", "TABLE") && !r.takeKeywords(verb, "OR", "REPLACE", "TEMPORARY", "TABLE") {
		return false
	}
	r.takeKeywords("IF", "NOT", "EXISTS")
	return true
}

// temporaryTables returns the names of the temporary tables that the statements create, each quoted.
func temporaryTables(parts []string) []string {
	var names []string
	for _, part := range parts {
		r := &tokenReader{words: tokenize(part, 12)}
		if !takeTemporary(r, "CREATE") {
			continue
		}
		name := quoteName(r.takeName())
		if r.takeKeywords(".") {
			name += "." + quoteName(r.takeName())
		}
		names = append(names, name)
	}
	return names
}

func quoteName(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// checkUnit returns why a block of several statements cannot be one unit, or an empty string.
func checkUnit(s Statement) string {
	for _, part := range s.parts {
		if word := forbiddenKeyword(part); word != "" {
			return fmt.Sprintf("%s cannot be used in a migration: transactions, locks and the database are the runner's", word)
		}
		if setsServerVariable(part) {
			return fmt.Sprintf("%s: a setting would not outlive an interruption after the block: set it in a statement of its own before the block", shorten(part))
		}
	}
	_, commits := unitEffect(s.parts)
	if commits != "" && s.Verify == "" && !s.Once {
		return fmt.Sprintf("the block cannot be rolled back as one unit, since %s commits by itself: move that out of the block, or put a query that shows whether the block was done "+
			"(-- verify: SELECT ...) or '-- once' before the block; after an interruption in a block marked once a person decides", shorten(commits))
	}
	return ""
}

// setsServerVariable reports whether sql is a SET of anything but the connection's own variables (@name).
func setsServerVariable(sql string) bool {
	r := &tokenReader{words: tokenizeStatement(sql)}
	if !r.takeKeywords("SET") || len(r.words) > 0 && r.words[0].is("STATEMENT") {
		return false
	}
	for _, clause := range r.splitClauses() {
		if len(clause) < 2 || !clause[0].is("@") || clause[1].is("@") {
			return true
		}
	}
	return false
}
