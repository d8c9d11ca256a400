package store_test

import (
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgo/pkg/page"
	"pgo/pkg/testing/servicetest"
	"pgo/services/user"
	"pgo/services/user/migrations"
	"pgo/services/user/store"
)

// openStore returns a store on an empty database and the queries that it sends from then on.
func openStore(t *testing.T) (*store.Store, *sql.DB, *[]string) {
	t.Helper()
	d := servicetest.NewDatabase(t, migrations.FS)
	db, c := d.Connect(t, "")
	return store.New(db, c, "user", func() {}), d.DB, servicetest.RecordQueries(t, db)
}

// people is how many rows the table has: enough for the server to choose its plans as it would in production.
const people = 100_000

// fillTables makes people: p00000 ..., of whom every thousandth is an admin and every hundredth is disabled, each with a session.
func fillTables(t *testing.T, db *sql.DB) {
	t.Helper()
	for _, statement := range []string{
		`INSERT INTO users (id, email, name, role, status, email_verified, password_hash, version, sequence, created_at, updated_at) SELECT CONCAT('01900000-0000-7000-8000-', LPAD(HEX(n), 12, '0')), CONCAT('p', LPAD(n, 5, '0'), '@example.org'), CONCAT('N', LPAD(REVERSE(LPAD(n, 5, '0')), 5, '0')),
			IF(n % 1000 = 7, 'admin', 'user'), IF(n % 100 = 50, 'disabled', 'active'), TRUE, 'hash', 1, 1, NOW(6), NOW(6) FROM ` + servicetest.Numbers,
		`INSERT INTO sessions SELECT CONCAT('01900000-0000-7000-9000-', LPAD(HEX(n), 12, '0')), CONCAT('01900000-0000-7000-8000-', LPAD(HEX(n DIV 50 * 50), 12, '0')), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6),
			UTC_TIMESTAMP(6) + INTERVAL 30 DAY, IF(n % 10 = 0, UTC_TIMESTAMP(6) - INTERVAL n SECOND, NULL), '127.0.0.1', 'test' FROM ` + servicetest.Numbers,
		`ANALYZE TABLE users, sessions`,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func newTestID(n int) string { return fmt.Sprintf("01900000-0000-7000-8000-%012X", n) }

// TestListsReadOnlyTheirPage counts the rows that the server reads for a page: in proportion to the page or to
// what the search finds, never to the table, and so nothing is sorted that is not found either.
func TestListsReadOnlyTheirPage(t *testing.T) {
	t.Parallel()
	s, db, sent := openStore(t)
	fillTables(t, db)
	const limit = 20
	after := func(n int) page.Request[user.ListKey] {
		return page.Request[user.ListKey]{Limit: limit, After: &user.ListKey{ID: newTestID(n)}}
	}
	first := page.Request[user.ListKey]{Limit: limit}
	for _, tc := range []struct {
		name  string
		f     user.UserFilter
		p     page.Request[user.ListKey]
		found int // rows that the search alone finds, 0 without a search
		items int
	}{
		{"all", user.UserFilter{}, first, 0, limit},
		{"all, far behind", user.UserFilter{}, after(90_000), 0, limit},
		{"the last page", user.UserFilter{}, after(people - 6), 0, 5},
		{"many of a role", user.UserFilter{Role: "user"}, after(50_000), 0, limit},
		{"few of a role", user.UserFilter{Role: "admin"}, after(50_000), 0, limit},
		{"many of a status", user.UserFilter{Status: "active"}, after(50_000), 0, limit},
		{"few of a status", user.UserFilter{Status: "disabled"}, first, 0, limit},
		{"role and status, many", user.UserFilter{Role: "user", Status: "active"}, first, 0, limit},
		{"role and status, few", user.UserFilter{Role: "user", Status: "disabled"}, after(50_000), 0, limit},
		{"role and status, none", user.UserFilter{Role: "admin", Status: "disabled"}, first, 200, 0}, // or all of the rarer one
		{"e-mail", user.UserFilter{Query: "P1234"}, first, 10, 10},
		{"name", user.UserFilter{Query: "n123"}, first, 100, limit},
		{"name, second page", user.UserFilter{Query: "n123"}, after(50_000), 100, limit},
		{"whole e-mail", user.UserFilter{Query: "p12345@example.org"}, first, 1, 1},
		{"nothing", user.UserFilter{Query: "x"}, first, 0, 0},
		{"search, role and status", user.UserFilter{Query: "n0", Role: "user", Status: "disabled"}, first, 10_000, limit},
		{"search that finds everybody", user.UserFilter{Query: "p"}, first, people, limit},
	} {
		t.Run(tc.name, func(t *testing.T) {
			*sent = nil
			list, err := s.ListUsers(t.Context(), tc.f, tc.p)
			if err != nil || len(list.Items) != tc.items || len(*sent) != 1 {
				t.Fatalf("%d items, %d statements, %v; want %d and 1", len(list.Items), len(*sent), err, tc.items)
			}
			servicetest.AssertRowsRead(t, db, (*sent)[0], 3*(limit+1)+6*tc.found)
		})
	}
	t.Run("sessions", func(t *testing.T) {
		for _, p := range []page.Request[user.ListKey]{first, {Limit: limit, After: &user.ListKey{ID: "01900000-0000-7000-9000-00000000C370"}}} {
			*sent = nil
			list, err := s.ListSessions(t.Context(), newTestID(50_000), p)
			if err != nil || len(list.Items) == 0 || len(*sent) != 1 {
				t.Fatalf("%d items, %d statements, %v", len(list.Items), len(*sent), err)
			}
			servicetest.AssertRowsRead(t, db, (*sent)[0], 3*(limit+1))
		}
	})
	t.Run("ended sessions", func(t *testing.T) {
		var since time.Time // one ended every ten seconds; the last 0, 10, 20, 30, 40 and 50 s before the last
		if err := db.QueryRow("SELECT MAX(ended_at) - INTERVAL 55 SECOND FROM sessions").Scan(&since); err != nil {
			t.Fatal(err)
		}
		*sent = nil
		ids, _, err := s.EndedSince(t.Context(), since)
		slices.Sort(ids)
		want := []string{}
		for n := 0; n <= 50; n += 10 {
			want = append(want, fmt.Sprintf("01900000-0000-7000-9000-%012X", n))
		}
		if err != nil || !slices.Equal(ids, want) {
			t.Fatalf("%v, %v; want %v", ids, err, want)
		}
		servicetest.AssertRowsRead(t, db, (*sent)[len(*sent)-1], 20)
	})
}
