package store_test

import (
	"database/sql"
	"slices"
	"testing"
)

// TestPrune leaves what a token may still name, and more than one batch goes.
func TestPrune(t *testing.T) {
	t.Parallel()
	s, db, _ := openStore(t)
	const digits = "(SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
	const hundred = digits + " a, " + digits + " b"
	for _, statement := range []string{
		insertSessionSQL("open", "+ INTERVAL 1 DAY", "NULL"), insertSessionSQL("just expired", "- INTERVAL 23 HOUR", "NULL"), insertSessionSQL("just ended", "+ INTERVAL 1 DAY", "UTC_TIMESTAMP(6) - INTERVAL 23 HOUR"),
		insertSessionSQL("long expired", "- INTERVAL 25 HOUR", "NULL"), insertSessionSQL("long ended", "+ INTERVAL 1 DAY", "UTC_TIMESTAMP(6) - INTERVAL 25 HOUR"),
		"INSERT INTO refresh_tokens (hash, session_id, created_at, spent_at) SELECT UNHEX(SHA2(id, 256)), id, UTC_TIMESTAMP(6), NULL FROM sessions",
		"INSERT INTO mail_tokens VALUES (UNHEX(SHA2('good', 256)), 'u', 'reset', UTC_TIMESTAMP(6) - INTERVAL 23 HOUR)",
		"INSERT INTO mail_tokens SELECT UNHEX(SHA2(CONCAT(a.n, b.n, c.n, d.n), 256)), 'u', 'reset', UTC_TIMESTAMP(6) - INTERVAL 25 HOUR FROM " + hundred + ", " + digits + " c, (SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2) d",
		"INSERT INTO pgo_inbox VALUES ('user.mailer', 'new', UTC_TIMESTAMP(6), 0), ('user.mailer', 'old', UTC_TIMESTAMP(6) - INTERVAL 60 DAY, 0), ('other', 'old', UTC_TIMESTAMP(6) - INTERVAL 60 DAY, 0)",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	for range 2 { // the second time there is nothing to do
		if err := s.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string][]string{
		"SELECT id FROM sessions ORDER BY id":                              {"just ended", "just expired", "open"},
		"SELECT session_id FROM refresh_tokens ORDER BY session_id":        {"just ended", "just expired", "open"},
		"SELECT LOWER(HEX(hash)) = SHA2('good', 256) FROM mail_tokens":     {"1"},
		"SELECT CONCAT(consumer, ' ', event_id) FROM pgo_inbox ORDER BY 1": {"other old", "user.mailer new"},
	} {
		if got := queryStrings(t, db, query); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", query, got, want)
		}
	}
}

func insertSessionSQL(id, expires, ended string) string {
	return "INSERT INTO sessions VALUES ('" + id + "', 'u', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) " + expires + ", " + ended + ", '127.0.0.1', 'test')"
}

func queryStrings(t *testing.T, db *sql.DB, query string) (all []string) {
	t.Helper()
	rs, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rs.Close()
	for rs.Next() {
		var s string
		if err := rs.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := rs.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
