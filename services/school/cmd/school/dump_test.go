package main

import (
	"database/sql"
	"fmt"
	"testing"

	"pgo/pkg/testing/servicetest"
	"pgo/pkg/testing/testkit"
)

// dumpTables returns the rows of the tables, without the times at which the relay published events.
func dumpTables(t testing.TB, db *sql.DB) string {
	t.Helper()
	return servicetest.DumpRows(t, db,
		"SELECT * FROM schools ORDER BY id", "SELECT * FROM school_members ORDER BY school_id, user_id", "SELECT * FROM invites ORDER BY id",
		"SELECT * FROM classes ORDER BY id", "SELECT * FROM class_members ORDER BY class_id, user_id", "SELECT * FROM people WHERE sequence > 0 ORDER BY user_id",
		"SELECT id, event_id, type, subject, envelope FROM pgo_outbox ORDER BY id", "SELECT consumer, event_id FROM pgo_inbox ORDER BY event_id",
	)
}

// awaitRow waits until the query finds a row.
func (s *testClient) awaitRow(query string, args ...any) {
	s.t.Helper()
	testkit.Eventually(s.t, query, func() error {
		var found any
		return s.DB.QueryRow(query, args...).Scan(&found)
	})
}

// queryInt returns the number that the query selects.
func (s *testClient) queryInt(query string, args ...any) int {
	s.t.Helper()
	var n int
	if err := s.DB.QueryRow(query, args...).Scan(&n); err != nil {
		s.t.Fatal(fmt.Errorf("%s: %w", query, err))
	}
	return n
}
