package main

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgo/pkg/testkit"
)

// dump returns what is in the tables, once the mailer has handled what it was asked for. When the relay has
// published an event is not among it.
func dump(t testing.TB, db *sql.DB) string {
	t.Helper()
	testkit.Eventually(t, "all mails that were asked for", func() error {
		var asked, sent int
		if err := db.QueryRow("SELECT (SELECT COUNT(*) FROM pgo_outbox WHERE type = 'user.mail_requested.v1'), (SELECT COUNT(*) FROM pgo_inbox)").Scan(&asked, &sent); err != nil {
			return err
		}
		if asked != sent {
			return fmt.Errorf("%d of %d are sent", sent, asked)
		}
		return nil
	})
	var all strings.Builder
	for _, query := range []string{
		"SELECT * FROM users ORDER BY id", "SELECT * FROM sessions ORDER BY id", "SELECT * FROM refresh_tokens ORDER BY hash",
		"SELECT * FROM mail_tokens ORDER BY hash", "SELECT id, event_id, type, subject, envelope FROM pgo_outbox ORDER BY id", "SELECT consumer, event_id FROM pgo_inbox ORDER BY event_id",
	} {
		if err := rows(&all, db, query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	return all.String()
}

func rows(into *strings.Builder, db *sql.DB, query string) (err error) {
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

// difference returns the lines that only one of two dumps has.
func difference(before, after string) string {
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
