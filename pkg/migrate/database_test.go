package migrate

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"pgo/pkg/testing/testkit"
)

func openDatabase(t *testing.T) *sql.DB {
	t.Helper()
	return testkit.NewDatabase(t).Open(t)
}

// migrations reads files given as name, statements, name, statements ...
func migrations(t *testing.T, namesAndText ...string) []Migration {
	t.Helper()
	files := fstest.MapFS{}
	for i := 0; i < len(namesAndText); i += 2 {
		text := namesAndText[i+1]
		if !strings.Contains(text, "+goose Up") {
			text = "-- +goose Up\n" + text
		}
		files[namesAndText[i]] = file(text)
	}
	ms, err := Read(files)
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

// value reads one value as text.
func value(t *testing.T, db *sql.DB, query string, args ...any) string {
	t.Helper()
	var s sql.NullString
	if err := db.QueryRowContext(context.Background(), query, args...).Scan(&s); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return s.String
}

func exec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(context.Background(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func mustUp(t *testing.T, db *sql.DB, ms []Migration, o Options) Report {
	t.Helper()
	r, err := Up(context.Background(), db, ms, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantState(t *testing.T, db *sql.DB, want State) {
	t.Helper()
	got, err := ReadState(context.Background(), db)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("state %+v, want %+v", got, want)
	}
}

// progress collects the reports.
func progress(into chan<- string) func(string) {
	return func(text string) {
		select {
		case into <- text:
		default:
			panic(fmt.Sprintf("more progress than expected: %s", text))
		}
	}
}
