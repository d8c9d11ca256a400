package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"gorm.io/gorm"

	"pgo/pkg/cache"
	"pgo/pkg/config"
	"pgo/pkg/migrate"
	"pgo/pkg/mysql"
	"pgo/pkg/page"
	"pgo/pkg/testkit"
	"pgo/services/user"
	"pgo/services/user/migrations"
	"pgo/services/user/store"
)

// open returns a store on an empty database and the statements that it sends from then on.
func open(t *testing.T) (*store.Store, *sql.DB, *[]string) {
	t.Helper()
	d := testkit.MySQL(t)
	ms, err := migrate.Read(migrations.FS)
	if err != nil {
		t.Fatal(err)
	}
	direct := d.Open(t)
	if _, err := migrate.Up(t.Context(), direct, ms, migrate.Options{}); err != nil {
		t.Fatal(err)
	}
	cfg := mysql.Defaults()
	cfg.Addr, cfg.Username, cfg.Password, cfg.Database = d.Addr, d.User, config.Secret(d.Password), d.Name
	reg := prometheus.NewRegistry()
	db, err := mysql.Open(cfg, noop.NewTracerProvider(), reg)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	r := testkit.Redis(t)
	rcfg := cache.Defaults()
	rcfg.Addr, rcfg.Username, rcfg.Password, rcfg.Prefix = r.Addr, r.Username, config.Secret(r.Password), r.Prefix
	client := cache.Open(rcfg)
	t.Cleanup(func() { client.Close() })
	var sent []string
	note := func(tx *gorm.DB) {
		sent = append(sent, tx.Dialector.Explain(tx.Statement.SQL.String(), tx.Statement.Vars...))
	}
	if err := db.Callback().Query().After("gorm:query").Register("test:note", note); err != nil {
		t.Fatal(err)
	}
	return store.New(db, cache.New(client, rcfg, reg, zap.NewNop()), "user", func() {}), direct, &sent
}

// people is how many rows the table has: enough for the server to choose its plans as it would in earnest.
const people = 100_000

// fill makes people: p00000 ..., of whom every thousandth is an admin and every hundredth is disabled, each with a session.
func fill(t *testing.T, db *sql.DB) {
	t.Helper()
	const digits = "(SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
	numbers := "(SELECT a.n + 10*b.n + 100*c.n + 1000*d.n + 10000*e.n AS n FROM " + digits + " a, " + digits + " b, " + digits + " c, " + digits + " d, " + digits + " e) numbers"
	for _, statement := range []string{
		`INSERT INTO users SELECT CONCAT('01900000-0000-7000-8000-', LPAD(HEX(n), 12, '0')), CONCAT('p', LPAD(n, 5, '0'), '@example.org'), CONCAT('N', LPAD(REVERSE(LPAD(n, 5, '0')), 5, '0')),
			IF(n % 1000 = 7, 'admin', 'user'), IF(n % 100 = 50, 'disabled', 'active'), TRUE, 'hash', 1, 1, NOW(6), NOW(6) FROM ` + numbers,
		`INSERT INTO sessions SELECT CONCAT('01900000-0000-7000-9000-', LPAD(HEX(n), 12, '0')), CONCAT('01900000-0000-7000-8000-', LPAD(HEX(n DIV 50 * 50), 12, '0')), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6),
			UTC_TIMESTAMP(6) + INTERVAL 30 DAY, IF(n % 10 = 0, UTC_TIMESTAMP(6) - INTERVAL n SECOND, NULL), '127.0.0.1', 'test' FROM ` + numbers,
		`ANALYZE TABLE users, sessions`,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func id(n int) string { return fmt.Sprintf("01900000-0000-7000-8000-%012X", n) }

// TestListsReadWhatTheyShow counts the rows that the server reads for a page: in proportion to the page or to
// what the search finds, never to the table, and so nothing is sorted that is not found either.
func TestListsReadWhatTheyShow(t *testing.T) {
	t.Parallel()
	s, db, sent := open(t)
	fill(t, db)
	const limit = 20
	after := func(n int) page.Request[user.ListKey] {
		return page.Request[user.ListKey]{Limit: limit, After: &user.ListKey{ID: id(n)}}
	}
	first := page.Request[user.ListKey]{Limit: limit}
	for _, tc := range []struct {
		name  string
		f     user.Filter
		p     page.Request[user.ListKey]
		found int // rows that the search alone finds, 0 without a search
		items int
	}{
		{"all", user.Filter{}, first, 0, limit},
		{"all, far behind", user.Filter{}, after(90_000), 0, limit},
		{"the last page", user.Filter{}, after(people - 6), 0, 5},
		{"many of a role", user.Filter{Role: "user"}, after(50_000), 0, limit},
		{"few of a role", user.Filter{Role: "admin"}, after(50_000), 0, limit},
		{"many of a status", user.Filter{Status: "active"}, after(50_000), 0, limit},
		{"few of a status", user.Filter{Status: "disabled"}, first, 0, limit},
		{"role and status, many", user.Filter{Role: "user", Status: "active"}, first, 0, limit},
		{"role and status, few", user.Filter{Role: "user", Status: "disabled"}, after(50_000), 0, limit},
		{"role and status, none", user.Filter{Role: "admin", Status: "disabled"}, first, 200, 0}, // or all of the rarer one
		{"e-mail", user.Filter{Query: "P1234"}, first, 10, 10},
		{"name", user.Filter{Query: "n123"}, first, 100, limit},
		{"name, second page", user.Filter{Query: "n123"}, after(50_000), 100, limit},
		{"whole e-mail", user.Filter{Query: "p12345@example.org"}, first, 1, 1},
		{"nothing", user.Filter{Query: "x"}, first, 0, 0},
		{"search, role and status", user.Filter{Query: "n0", Role: "user", Status: "disabled"}, first, 10_000, limit},
		{"search that finds everybody", user.Filter{Query: "p"}, first, people, limit},
	} {
		t.Run(tc.name, func(t *testing.T) {
			*sent = nil
			list, err := s.List(t.Context(), tc.f, tc.p)
			if err != nil || len(list.Items) != tc.items || len(*sent) != 1 {
				t.Fatalf("%d items, %d statements, %v; want %d and 1", len(list.Items), len(*sent), err, tc.items)
			}
			reads(t, db, (*sent)[0], 3*(limit+1)+6*tc.found)
		})
	}
	t.Run("sessions", func(t *testing.T) {
		for _, p := range []page.Request[user.ListKey]{first, {Limit: limit, After: &user.ListKey{ID: "01900000-0000-7000-9000-00000000C370"}}} {
			*sent = nil
			list, err := s.Sessions(t.Context(), id(50_000), p)
			if err != nil || len(list.Items) == 0 || len(*sent) != 1 {
				t.Fatalf("%d items, %d statements, %v", len(list.Items), len(*sent), err)
			}
			reads(t, db, (*sent)[0], 3*(limit+1))
		}
	})
	t.Run("ended sessions", func(t *testing.T) {
		*sent = nil
		ids, _, err := s.EndedSince(t.Context(), time.Now().Add(-time.Minute))
		if err != nil || len(ids) == 0 || len(ids) > 6 {
			t.Fatalf("%v, %v", ids, err)
		}
		reads(t, db, (*sent)[len(*sent)-1], 20)
	})
}

// reads runs the query and fails the test when the server read more rows for it.
func reads(t *testing.T, db *sql.DB, query string, most int) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	count := func() (total int) {
		each(t, conn, "SHOW SESSION STATUS LIKE 'Handler_read%'", func(row map[string]string) {
			var n int
			if _, err := fmt.Sscan(row["Value"], &n); err != nil {
				t.Fatal(err)
			}
			total += n
		})
		return total
	}
	idle := -count() // SHOW reads rows as well
	idle += count()
	before := count()
	each(t, conn, query, func(map[string]string) {})
	if n := count() - before - idle; n > most {
		var plan strings.Builder
		each(t, conn, "EXPLAIN "+query, func(row map[string]string) {
			fmt.Fprintf(&plan, "%s %s by %s, %s rows, %s\n", row["table"], row["type"], row["key"], row["rows"], row["Extra"])
		})
		t.Errorf("the server reads %d rows, want at most %d, for\n%s\n%s", n, most, query, &plan)
	}
}

func each(t *testing.T, conn *sql.Conn, query string, row func(map[string]string)) {
	t.Helper()
	rs, err := conn.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rs.Close()
	columns, err := rs.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rs.Next() {
		values, to := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rs.Scan(to...); err != nil {
			t.Fatal(err)
		}
		m := map[string]string{}
		for i, c := range columns {
			m[c] = values[i].String
		}
		row(m)
	}
	if err := rs.Err(); err != nil {
		t.Fatal(err)
	}
}
