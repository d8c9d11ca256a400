package servicetest

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"

	"gorm.io/gorm"
)

// Numbers is a table expression in SQL: 0 to 99,999 as numbers.n. A table of so many rows is enough for the server to choose
// its plans as it would in earnest.
const Numbers = "(SELECT a.n + 10*b.n + 100*c.n + 1000*d.n + 10000*e.n AS n FROM " + digits + " a, " + digits + " b, " + digits + " c, " + digits + " d, " + digits + " e) numbers"

const digits = "(SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"

// RecordQueries returns the list to which every query that GORM sends is added from now on, with its values put in. Read it
// only after all queries have ended.
func RecordQueries(t testing.TB, db *gorm.DB) *[]string {
	t.Helper()
	var mu sync.Mutex
	var sent []string
	err := db.Callback().Query().After("gorm:query").Register("servicetest:queries", func(tx *gorm.DB) {
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, tx.Dialector.Explain(tx.Statement.SQL.String(), tx.Statement.Vars...))
	})
	if err != nil {
		t.Fatal(err)
	}
	return &sent
}

// InefficientSteps returns the bad steps of the server's plan for a query: those that read a whole table or index, and those
// that sort. It ignores steps that combine what others read.
func InefficientSteps(t testing.TB, db *sql.DB, query string) []string {
	t.Helper()
	var all []string
	for _, step := range explainQuery(t, db, query) {
		if strings.HasPrefix(step["table"], "<") {
			continue
		}
		if step["type"] == "ALL" || step["type"] == "index" || strings.Contains(step["extra"], "filesort") || strings.Contains(step["extra"], "temporary") {
			all = append(all, describeStep(step)+"\nin "+query)
		}
	}
	return all
}

// CountRowsRead runs the query and returns how many rows the server reads for it.
func CountRowsRead(t testing.TB, db *sql.DB, query string) int {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	count := func() (total int) {
		for _, row := range queryRows(t, conn, "SHOW SESSION STATUS LIKE 'Handler_read%'") {
			var n int
			if _, err := fmt.Sscan(row["value"], &n); err != nil {
				t.Fatal(err)
			}
			total += n
		}
		return total
	}
	idle := -count() // SHOW reads rows as well
	idle += count()
	before := count()
	queryRows(t, conn, query)
	return count() - before - idle
}

// AssertRowsRead fails the test if the server reads more than most rows for the query.
func AssertRowsRead(t testing.TB, db *sql.DB, query string, most int) {
	t.Helper()
	n := CountRowsRead(t, db, query)
	if n <= most {
		return
	}
	var steps []string
	for _, step := range explainQuery(t, db, query) {
		steps = append(steps, describeStep(step))
	}
	t.Errorf("the server reads %d rows, want at most %d, for\n%s\n%s", n, most, query, strings.Join(steps, "\n"))
}

func describeStep(step map[string]string) string {
	return fmt.Sprintf("table %s is read by %s of %s rows, index %s, %s", step["table"], step["type"], step["rows"], step["key"], step["extra"])
}

func explainQuery(t testing.TB, db *sql.DB, query string) []map[string]string {
	t.Helper()
	return queryRows(t, db, "EXPLAIN FORMAT=TRADITIONAL "+query) // MySQL 9 answers with a tree of words otherwise
}

// queryRows returns the rows of a query by the names of their columns, in lower case.
func queryRows(t testing.TB, db interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}, query string,
) []map[string]string {
	t.Helper()
	rs, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rs.Close()
	columns, err := rs.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values, to := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		to[i] = &values[i]
	}
	var all []map[string]string
	for rs.Next() {
		if err := rs.Scan(to...); err != nil {
			t.Fatal(err)
		}
		row := map[string]string{}
		for i, c := range columns {
			row[strings.ToLower(c)] = values[i].String
		}
		all = append(all, row)
	}
	if err := rs.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
