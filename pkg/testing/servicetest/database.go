package servicetest

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// DumpRows returns the rows of the queries as text, so that a test can tell whether anything has changed.
func DumpRows(t testing.TB, db *sql.DB, queries ...string) string {
	t.Helper()
	var all strings.Builder
	for _, query := range queries {
		if err := writeRows(&all, db, query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	return all.String()
}

func writeRows(into *strings.Builder, db *sql.DB, query string) (err error) {
	rs, err := db.Query(query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rs.Close()) }()
	columns, err := rs.Columns()
	if err != nil {
		return err
	}
	values, to := make([]sql.RawBytes, len(columns)), make([]any, len(columns))
	for i := range values {
		to[i] = &values[i]
	}
	for rs.Next() {
		if err := rs.Scan(to...); err != nil {
			return err
		}
		fmt.Fprintf(into, "%q\n", values)
	}
	return rs.Err()
}

// DiffLines returns the lines that only one of two dumps has.
func DiffLines(before, after string) string {
	var out strings.Builder
	for sign, pair := range map[string][2]string{"-": {before, after}, "+": {after, before}} {
		for line := range strings.Lines(pair[0]) {
			if !strings.Contains(pair[1], line) {
				out.WriteString(sign + line)
			}
		}
	}
	return out.String()
}

// KillConnections ends every other connection to the database, as a restart of the server or its idle timeout does.
func (w *Env) KillConnections(t testing.TB) {
	t.Helper()
	db := w.DB.Open(t)
	db.SetMaxOpenConns(1) // so that CONNECTION_ID names the one to keep
	rs, err := db.QueryContext(t.Context(), "SELECT id FROM information_schema.processlist WHERE db = ? AND id <> CONNECTION_ID()", w.DB.Name)
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for rs.Next() {
		var id int64
		if err := rs.Scan(&id); err != nil {
			t.Fatal(errors.Join(err, rs.Close()))
		}
		ids = append(ids, id)
	}
	if err := errors.Join(rs.Err(), rs.Close()); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if _, err := db.ExecContext(t.Context(), fmt.Sprintf("KILL %d", id)); err != nil && t.Context().Err() != nil {
			t.Fatal(err) // a connection that has ended meanwhile is no error
		}
	}
}
