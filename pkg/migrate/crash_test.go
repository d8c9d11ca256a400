package migrate

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// TestCrashResumes kills the runner at each point of the journal in each statement, and lets the next run go on.
func TestCrashResumes(t *testing.T) {
	ms := migrations(t, "00001_a.sql", `
SET @v = 7;
CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, v INT, gone INT);
INSERT INTO a (v) VALUES (@v);
ALTER TABLE a ADD COLUMN c INT;
CREATE INDEX i ON a (v);
ALTER TABLE a DROP COLUMN gone;
DROP INDEX i ON a;
CREATE TABLE b (id INT);
DROP TABLE b;
-- verify: SELECT 1 FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'a' AND column_name = 'v' AND data_type = 'bigint'
ALTER TABLE a MODIFY v BIGINT;
INSERT INTO a (v) VALUES (@v + 1);
`)
	count := len(ms[0].Statements)
	type place struct {
		point  string
		number int
	}
	places := []place{{"end", 0}}
	for n := 1; n <= count; n++ {
		places = append(places, place{"intent", n}, place{"exec", n})
	}
	for _, at := range places {
		t.Run(at.point+" "+shorten(sqlOf(ms[0], at.number)), func(t *testing.T) {
			db := openDatabase(t)
			_, err := Up(context.Background(), db, ms, Options{crash: func(point string, _ Migration, s Statement) bool {
				return point == at.point && s.Number == at.number
			}})
			if !errors.Is(err, errKilledByTest) {
				t.Fatalf("got %v", err)
			}
			wantState(t, db, State{Dirty: 1})
			mustUp(t, db, ms, Options{})
			wantState(t, db, State{Version: 1})
			if got := value(t, db, "SELECT GROUP_CONCAT(v ORDER BY id) FROM a"); got != "7,8" {
				t.Errorf("rows %s", got)
			}
			if got := value(t, db, "SELECT GROUP_CONCAT(CONCAT(column_name, ' ', data_type) ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'a'"); got != "id int,v bigint,c int" {
				t.Errorf("columns %s", got)
			}
		})
	}
}

func sqlOf(m Migration, n int) string {
	if n == 0 {
		return ""
	}
	return m.Statements[n-1].SQL
}

func TestUndecidableCrash(t *testing.T) {
	tests := []struct {
		name, point string
		word        bool
	}{
		{"done", "exec", true},
		{"not done", "intent", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := openDatabase(t)
			ms := migrations(t, "00003_a.sql", "CREATE TABLE a (id INT);\nRENAME TABLE a TO b;\nINSERT INTO b VALUES (1);\n")
			o := Options{Repair: "bootcheck resolve --service user"}
			crash := o
			crash.crash = func(point string, _ Migration, s Statement) bool { return point == tt.point && s.Number == 2 }
			if _, err := Up(context.Background(), db, ms, crash); !errors.Is(err, errKilledByTest) {
				t.Fatalf("got %v", err)
			}
			_, err := Up(context.Background(), db, ms, o)
			if !errors.Is(err, ErrUndecided) || !strings.Contains(err.Error(), "`bootcheck resolve --service user --version 3 --statement 2 --done`") || !strings.Contains(err.Error(), "--redo") {
				t.Fatalf("got %v", err)
			}
			if err := Resolve(context.Background(), db, ms, Resolution{Version: 3, Statement: 1, Done: true}, o); !errors.Is(err, ErrNothingToResolve) {
				t.Errorf("a statement that is done: %v", err)
			}
			if err := Resolve(context.Background(), db, ms, Resolution{Version: 3, Statement: 9}, o); !errors.Is(err, ErrNothingToResolve) {
				t.Errorf("a statement that is not there: %v", err)
			}
			if err := Resolve(context.Background(), db, ms, Resolution{Version: 3, Statement: 2, Done: tt.word}, o); err != nil {
				t.Fatal(err)
			}
			mustUp(t, db, ms, o)
			if got := value(t, db, "SELECT COUNT(*) FROM b"); got != "1" {
				t.Errorf("%s rows", got)
			}
		})
	}
}

func TestChangedTextOfAnInterruptedStatement(t *testing.T) {
	db := openDatabase(t)
	crash := Options{crash: func(point string, _ Migration, _ Statement) bool { return point == "exec" }}
	if _, err := Up(context.Background(), db, migrations(t, "00001_a.sql", "CREATE TABLE a (id INT);"), crash); !errors.Is(err, errKilledByTest) {
		t.Fatalf("got %v", err)
	}
	changed := migrations(t, "00001_a.sql", "CREATE TABLE a (id BIGINT);")
	if _, err := Up(context.Background(), db, changed, Options{}); !errors.Is(err, ErrUndecided) {
		t.Errorf("got %v", err)
	}
	wantState(t, db, State{Dirty: 1})
	mustUp(t, db, migrations(t, "00001_a.sql", "CREATE TABLE a (id INT);"), Options{})
}
