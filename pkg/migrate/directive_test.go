package migrate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
)

func TestDirectivesAreFoundAnywhereBeforeTheStatement(t *testing.T) {
	for _, head := range []string{
		"-- min_code_schema: 2\n", "/* (c) us */\n-- min_code_schema: 2\n", "# why\n-- min_code_schema: 2\n", "# min_code_schema: 2\n",
		"/* min_code_schema: 2 */\n", "/**\n * Why.\n * min_code_schema: 2\n */\n", "/* a */ -- min_code_schema: 2\n", "--min_code_schema: 2\n",
		"-- +goose StatementBegin\n-- min_code_schema: 2\nSELECT 1;\n-- +goose StatementEnd\n",
	} {
		t.Run(head, func(t *testing.T) {
			ms, err := Read(fstest.MapFS{"00002_b.sql": file("-- +goose Up\n" + head + "DROP TABLE a;\n")})
			if err != nil {
				t.Fatal(err)
			}
			if ms[0].MinCodeSchema != 2 {
				t.Errorf("min_code_schema %d", ms[0].MinCodeSchema)
			}
		})
	}
}

func TestWhatLooksLikeADirectiveIsRefused(t *testing.T) {
	for _, line := range []string{
		"-- min_code_schema 2", "-- min_code_schema = 2", "-- Min_Code_Schema: 2", "-- min-code-schema: 2", "-- mincodeschema: 2", "-- min code schema: 2",
		"-- min_code_shema: 2", "-- min_code_schema : 2", "-- minimum_code_schema: 2", "-- min_schema: 2", "/* MIN_CODE_SCHEMA: 2 */", "# min_code_schemas: 2",
		"-- Verify: SELECT 1", "-- VERIFY: SELECT 1", "-- verify SELECT 1", "-- verify : SELECT 1", "-- verify = SELECT 1", "-- verfy: SELECT 1", "-- verity: 1",
		"-- veryfi select 1", "/* Verify:\n SELECT 1 */", "-- Once", "-- once:", "-- ONCE!",
	} {
		t.Run(line, func(t *testing.T) {
			_, err := Read(fstest.MapFS{"00002_b.sql": file("-- +goose Up\n" + line + "\nRENAME TABLE a TO b;\n")})
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Line != 2 || !strings.Contains(err.Error(), "looks like a directive and is none") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// isBigint is a verify query on two lines, of which the first alone is true before the statement.
const isBigint = "-- verify: SELECT 1 FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'a'\n--   AND data_type = 'bigint'\n"

func TestVerifyOnSeveralLinesDecides(t *testing.T) {
	ms := migrations(t, "00001_a.sql", "CREATE TABLE a (v INT);\n"+isBigint+"ALTER TABLE a MODIFY v BIGINT;\n")
	for _, point := range []string{"intent", "exec"} {
		t.Run(point, func(t *testing.T) {
			db := openDatabase(t)
			_, err := Up(context.Background(), db, ms, Options{crash: func(at string, _ Migration, s Statement) bool { return at == point && s.Number == 2 }})
			if !errors.Is(err, errKilledByTest) {
				t.Fatalf("got %v", err)
			}
			mustUp(t, db, ms, Options{})
			if got := value(t, db, "SELECT data_type FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'a'"); got != "bigint" {
				t.Errorf("column %s", got)
			}
		})
	}
}

func TestVerifyIsTested(t *testing.T) {
	tests := []struct {
		name, verify, statement string
		said                    string
		isRun                   bool // the statement was run all the same, and is not run again
	}{
		{"a row before", "SELECT 1", "RENAME TABLE a TO b;", "returns a row before", false},
		{"a row before a change of rows", "SELECT 1", "INSERT INTO a VALUES (1);", "returns a row before", false},
		{"no row after", "SELECT 1 FROM nowhere", "RENAME TABLE a TO b;", "returns no row", true},
		{"no row after a change of rows", "SELECT 1 FROM a WHERE id = 2", "INSERT INTO a VALUES (1);", "returns no row", false},
		{"not SQL", "SELECT 1 FROM", "RENAME TABLE a TO b;", "run its verify query", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := openDatabase(t)
			text := "CREATE TABLE a (id INT);\n-- verify: " + tt.verify + "\n" + tt.statement + "\n"
			ms := migrations(t, "00001_a.sql", text)
			for range 2 {
				_, err := Up(context.Background(), db, ms, Options{})
				var e *Error
				if !errors.As(err, &e) || e.Statement != 2 || !strings.Contains(err.Error(), tt.said) {
					t.Fatalf("got %v", err)
				}
				wantState(t, db, State{Dirty: 1})
			}
			isRun := value(t, db, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'b'") == "1"
			if !isRun && strings.HasPrefix(tt.statement, "INSERT") {
				isRun = value(t, db, "SELECT COUNT(*) FROM a") != "0"
			}
			if isRun != tt.isRun {
				t.Errorf("the statement was run: %v", isRun)
			}
			right := "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'b'"
			if strings.HasPrefix(tt.statement, "INSERT") {
				right = "SELECT 1 FROM a"
			}
			mustUp(t, db, migrations(t, "00001_a.sql", strings.Replace(text, tt.verify, right, 1)), Options{})
			wantState(t, db, State{Version: 1})
		})
	}
}

func TestUnverifiedStatementIsResolved(t *testing.T) {
	db := openDatabase(t)
	ms := migrations(t, "00001_a.sql", "CREATE TABLE a (id INT);\n-- verify: SELECT 1 FROM nowhere\nRENAME TABLE a TO b;\n")
	for range 2 {
		if _, err := Up(context.Background(), db, ms, Options{}); !errors.Is(err, ErrUnverified) {
			t.Fatalf("got %v", err)
		}
	}
	if err := Resolve(context.Background(), db, ms, Resolution{Version: 1, Statement: 2, Done: true}, Options{}); err != nil {
		t.Fatal(err)
	}
	mustUp(t, db, ms, Options{})
	wantState(t, db, State{Version: 1})
}
