package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrForeign reports a statement that names a database which is not the service's own.
var ErrForeign = errors.New("a migration may use its own database only")

// serverDatabases belong to the server itself. Those with its statistics may be read.
var serverDatabases = []string{"mysql", "sys"}

// findForeign returns the first of the databases that sql names, or an empty string. A name counts where a dot follows it.
func findForeign(sql string, databases []string) string {
	lower := strings.ToLower(sql)
	if !slices.ContainsFunc(databases, func(name string) bool { return strings.Contains(lower, strings.ToLower(name)) }) {
		return "" // most statements name none, and need not be read
	}
	var before token
	for t := range tokens(sql) {
		if t.is(".") && !before.string {
			for _, name := range databases {
				if strings.EqualFold(before.text, name) {
					return name
				}
			}
		}
		before = t
	}
	return ""
}

// checkForeign returns an *Error for the first statement that names one of the databases.
func checkForeign(ms []Migration, databases []string) error {
	if len(databases) == 0 {
		return nil
	}
	for _, m := range ms {
		for _, s := range m.Statements {
			if name := findForeign(s.SQL, databases); name != "" {
				return m.newErrorAt(s, fmt.Errorf("%w: it names %s, which belongs to another program; ask its service, or keep a copy by its events", ErrForeign, name))
			}
		}
	}
	return nil
}
