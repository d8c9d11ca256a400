package migrate

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestUp(t *testing.T) {
	db := openDatabase(t)
	wantState(t, db, State{})
	ms := migrations(t,
		"00001_users.sql", "CREATE TABLE u (id INT PRIMARY KEY, name VARCHAR(20));\nINSERT INTO u VALUES (1, 'a;');\n",
		"00003_index.sql", "-- min_code_schema: 1\n-- +goose Up\nSET @name = 'b';\nCREATE INDEX n ON u (name);\nINSERT INTO u VALUES (2, @name);\n-- +goose Down\nDROP TABLE u;\n",
		"00004_more.sql", "INSERT INTO u VALUES (3, @name);\n",
	)
	if left, err := Pending(context.Background(), db, ms); err != nil || len(left) != 3 {
		t.Fatalf("pending: %d, %v", len(left), err)
	}
	r := mustUp(t, db, ms, Options{})
	if len(r.Applied) != 3 || r.Statements != 6 || r.State != (State{Version: 4, MinCodeSchema: 1}) {
		t.Errorf("report %+v", r)
	}
	if got := value(t, db, "SELECT GROUP_CONCAT(COALESCE(name, '-') ORDER BY id) FROM u"); got != "a;,b,-" {
		t.Errorf("rows %s: a migration's SET must end with it", got)
	}
	if r = mustUp(t, db, ms, Options{}); len(r.Applied) != 0 || r.Statements != 0 {
		t.Errorf("second run: %+v", r)
	}
	// An older program on a newer schema is a roll-back: nothing to do.
	if r = mustUp(t, db, ms[:1], Options{}); r.State.Version != 4 {
		t.Errorf("older program: %+v", r)
	}
}

func TestRefusedStatementStopsAndResumes(t *testing.T) {
	tests := []struct {
		name, bad, good, said string
	}{
		{"changes a table", "ALTER TABLE nowhere ADD COLUMN c INT;", "ALTER TABLE u ADD COLUMN c INT;", "nowhere"},
		{"changes rows", "INSERT INTO u (id) VALUES (2), (1);", "INSERT INTO u (id) VALUES (2);", "Duplicate entry '1'"},
		{"is not SQL", "SELEKT 1;", "SELECT 1;", "SELEKT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := openDatabase(t)
			first := "CREATE TABLE u (id INT PRIMARY KEY);"
			text := "-- min_code_schema: 1\n-- +goose Up\nINSERT INTO u VALUES (1);\n" + tt.bad + "\nINSERT INTO u (id) VALUES (9);\n"
			_, err := Up(context.Background(), db, migrations(t, "00001_a.sql", first, "00002_b.sql", text, "00003_c.sql", "CREATE TABLE c (id INT);"), Options{})
			var e *Error
			if !errors.As(err, &e) || e.File != "00002_b.sql" || e.Statement != 2 || e.Line != 4 || e.SQL != tt.bad || !strings.Contains(err.Error(), tt.said) {
				t.Fatalf("error %v", err)
			}
			wantState(t, db, State{Version: 1, MinCodeSchema: 1, Dirty: 2})
			if got := value(t, db, "SELECT GROUP_CONCAT(id) FROM u"); got != "1" {
				t.Errorf("rows %s", got)
			}
			if got := value(t, db, "SELECT COUNT(*) FROM pgo_schema_statement WHERE done_at IS NULL"); got != "0" {
				t.Errorf("%s intents left", got)
			}
			text = strings.Replace(text, tt.bad, tt.good, 1)
			mustUp(t, db, migrations(t, "00001_a.sql", first, "00002_b.sql", text, "00003_c.sql", "CREATE TABLE c (id INT);"), Options{})
			wantState(t, db, State{Version: 3, MinCodeSchema: 1})
			if got := value(t, db, "SELECT COUNT(*) FROM u WHERE id IN (1, 9)"); got != "2" {
				t.Errorf("%s rows", got)
			}
		})
	}
}

func TestRefusedFirstStatementBindsNothing(t *testing.T) {
	db := openDatabase(t)
	ms := migrations(t, "00001_a.sql", "CREATE TABLE u (id INT);", "00002_b.sql", "-- min_code_schema: 2\n-- +goose Up\nDROP TABLE nowhere;\n")
	if _, err := Up(context.Background(), db, ms, Options{}); err == nil {
		t.Fatal("no error")
	}
	wantState(t, db, State{Version: 1})
	if err := CheckCompatible(State{Version: 1}, 1); err != nil {
		t.Error(err)
	}
}

func TestUpRejectsChangedMigrations(t *testing.T) {
	tests := []struct {
		name   string
		before []string // applied; the last statement of the last file may fail
		then   []string
		want   error
		file   string
	}{
		{"a changed file", []string{"00001_a.sql", "CREATE TABLE a (id INT);"}, []string{"00001_a.sql", "CREATE TABLE a (id BIGINT);"}, ErrChanged, "00001_a.sql"},
		{"a changed header", []string{"00001_a.sql", "CREATE TABLE a (id INT);"}, []string{"00001_a.sql", "-- min_code_schema: 1\n-- +goose Up\nCREATE TABLE a (id INT);"}, ErrChanged, "00001_a.sql"},
		{"out of order", []string{"00002_b.sql", "CREATE TABLE b (id INT);"}, []string{"00001_a.sql", "CREATE TABLE a (id INT);", "00002_b.sql", "CREATE TABLE b (id INT);"}, ErrOutOfOrder, "00001_a.sql"},
		{"below a half applied one", []string{"00002_b.sql", "CREATE TABLE b (id INT);\nBAD;"}, []string{"00001_a.sql", "CREATE TABLE a (id INT);", "00002_b.sql", "CREATE TABLE b (id INT);\nBAD;"}, ErrOutOfOrder, "00001_a.sql"},
		{"a missing file", []string{"00001_a.sql", "CREATE TABLE a (id INT);", "00002_b.sql", "CREATE TABLE b (id INT);"}, []string{"00001_a.sql", "CREATE TABLE a (id INT);", "00003_c.sql", "CREATE TABLE c (id INT);"}, ErrMissing, "00002_b.sql"},
		{"a change in what was run of a half applied file", []string{"00001_a.sql", "CREATE TABLE a (id INT);\nBAD;"}, []string{"00001_a.sql", "CREATE TABLE a (id BIGINT);\nSELECT 1;"}, ErrChanged, "00001_a.sql"},
		{"a shorter half applied file", []string{"00001_a.sql", "CREATE TABLE a (id INT);\nINSERT INTO a VALUES (1);\nBAD;"}, []string{"00001_a.sql", "CREATE TABLE a (id INT);"}, ErrChanged, "00001_a.sql"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := openDatabase(t)
			_, _ = Up(context.Background(), db, migrations(t, tt.before...), Options{})
			before, err := ReadState(context.Background(), db)
			if err != nil || before == (State{}) {
				t.Fatalf("state %+v, %v", before, err)
			}
			_, err = Up(context.Background(), db, migrations(t, tt.then...), Options{})
			var e *Error
			if !errors.Is(err, tt.want) || !errors.As(err, &e) || e.File != tt.file {
				t.Errorf("got %v, want %v in %s", err, tt.want, tt.file)
			}
			wantState(t, db, before)
		})
	}
}

// TestHalfAppliedByANewerProgram rolls back to a program whose files end before a migration that is half applied.
func TestHalfAppliedByANewerProgram(t *testing.T) {
	tests := []struct {
		name, header string
		point        string // at which the newer program is killed in statement 2; empty: the server refuses it
		want         error
		warning      string
	}{
		{"refused, compatible", "", "", nil, "migration 00002_b.sql of a newer program is half applied: its statements up to 1 are done;"},
		{"killed, compatible", "", "intent", nil, "migration 00002_b.sql of a newer program is half applied: its statements up to 1 are done, and an earlier run was interrupted in statement 2;"},
		{"incompatible", "-- min_code_schema: 2\n", "", ErrCodeTooOld, "00002_b.sql"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := openDatabase(t)
			older := migrations(t, "00001_a.sql", "CREATE TABLE a (id INT, old INT);")
			newer := slices.Concat(older, migrations(t, "00002_b.sql", "-- +goose Up\n"+tt.header+"ALTER TABLE a DROP COLUMN old;\nINSERT INTO nowhere VALUES (1);\n"))
			_, err := Up(context.Background(), db, newer, Options{crash: func(point string, _ Migration, s Statement) bool { return point == tt.point && s.Number == 2 }})
			if err == nil {
				t.Fatal("the newer program finished")
			}
			r := mustUp(t, db, older, Options{})
			if !strings.Contains(r.Warning, tt.warning) {
				t.Errorf("warning %q, want %q", r.Warning, tt.warning)
			}
			if err := CheckCompatible(r.State, 1); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestConcurrentRunners(t *testing.T) {
	db := openDatabase(t)
	ms := migrations(t, "00001_a.sql", "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, s INT);\nINSERT INTO a (s) SELECT SLEEP(3);\nINSERT INTO a (s) VALUES (1);\n",
		"00002_b.sql", "INSERT INTO a (s) VALUES (2);\nCREATE TABLE b (id INT);\n")
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	reports := make(chan string, 100)
	for range 3 {
		wg.Go(func() {
			r, err := Up(context.Background(), db, ms, Options{Progress: progress(reports)})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			total += r.Statements
		})
	}
	wg.Wait()
	if got := value(t, db, "SELECT COUNT(*) FROM a"); got != "3" || total != 5 {
		t.Errorf("%s rows, %d statements run by all", got, total)
	}
	close(reports)
	waited := false
	for text := range reports {
		waited = waited || strings.Contains(text, "waiting for the migration lock") && strings.Contains(text, "held by connection ")
	}
	if !waited {
		t.Error("no report names the holder of the lock")
	}
}

func TestLockWaitIsBounded(t *testing.T) {
	db := openDatabase(t)
	holder, err := openLockedConn(context.Background(), db, Options{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.discard()
	_, err = Up(context.Background(), db, migrations(t, "00001_a.sql", "SELECT 1;"), Options{LockWait: time.Second})
	id := value(t, db, "SELECT IS_USED_LOCK(CONCAT('pgo_schema.', DATABASE()))")
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "connection "+id+" ") || !strings.Contains(err.Error(), "KILL "+id) {
		t.Errorf("got %v", err)
	}
}

func TestLockIsOfTheDatabase(t *testing.T) {
	one, other := openDatabase(t), openDatabase(t)
	holder, err := openLockedConn(context.Background(), one, Options{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.discard()
	if _, err := Up(context.Background(), other, migrations(t, "00001_a.sql", "SELECT 1;"), Options{LockWait: time.Second}); err != nil {
		t.Error(err)
	}
}

func TestLockLostStopsTheRun(t *testing.T) {
	db := openDatabase(t)
	ms := migrations(t, "00001_a.sql", "CREATE TABLE a (id INT);\nSELECT RELEASE_LOCK(CONCAT('pgo_schema.', DATABASE()));\nINSERT INTO a VALUES (1);\n")
	_, err := Up(context.Background(), db, ms, Options{})
	var e *Error
	if !errors.Is(err, ErrLockLost) || !errors.As(err, &e) || e.Statement != 3 {
		t.Fatalf("got %v", err)
	}
	if got := value(t, db, "SELECT COUNT(*) FROM a"); got != "0" {
		t.Error("a statement was run without the lock")
	}
	mustUp(t, db, ms[:0], Options{})
}

func TestKilledConnectionStopsTheRun(t *testing.T) {
	db := openDatabase(t)
	ms := migrations(t, "00001_a.sql", "CREATE TABLE a (id INT);\nINSERT INTO a VALUES (1);\n")
	killed := Options{crash: func(point string, m Migration, s Statement) bool {
		if point == "intent" && s.Number == 2 {
			exec(t, db, "KILL "+value(t, db, "SELECT IS_USED_LOCK(CONCAT('pgo_schema.', DATABASE()))"))
		}
		return false
	}}
	if _, err := Up(context.Background(), db, ms, killed); err == nil {
		t.Fatal("no error")
	}
	wantState(t, db, State{Dirty: 1})
	mustUp(t, db, ms, Options{})
	if got := value(t, db, "SELECT COUNT(*) FROM a"); got != "1" {
		t.Errorf("%s rows", got)
	}
}

func TestTableInUse(t *testing.T) {
	db := openDatabase(t)
	exec(t, db, "CREATE TABLE a (id INT) ENGINE=InnoDB")
	exec(t, db, "INSERT INTO a VALUES (1)")
	ms := migrations(t, "00001_a.sql", "ALTER TABLE a ADD COLUMN c INT;")
	hold := func() *sql.Tx {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if err := tx.QueryRow("SELECT COUNT(*) FROM a").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return tx
	}

	tx := hold()
	_, err := Up(context.Background(), db, ms, Options{StatementLockWait: time.Second, Retries: -1})
	if !serverError(err, erLockWaitTimeout) || !strings.Contains(err.Error(), "in the way: connection ") {
		t.Errorf("got %v", err)
	}
	wantState(t, db, State{})
	_ = tx.Rollback()

	tx = hold()
	reports := make(chan string, 10)
	_, err = Up(context.Background(), db, ms, Options{StatementLockWait: time.Second, Progress: func(text string) {
		reports <- text
		_ = tx.Rollback()
	}})
	if err != nil {
		t.Error(err)
	}
	if first := <-reports; !strings.Contains(first, "statement 1 of 00001_a.sql waits for a lock, try 1 of 7; in the way: connection ") {
		t.Errorf("progress %q", first)
	}
}

func TestCheckCompatible(t *testing.T) {
	tests := []struct {
		name  string
		state State
		code  int64
		want  error
	}{
		{"same", State{Version: 3, MinCodeSchema: 2}, 3, nil},
		{"never migrated", State{}, 1, ErrSchemaTooOld},
		{"no migrations", State{}, 0, nil},
		{"schema ahead", State{Version: 5, MinCodeSchema: 3}, 3, nil},
		{"rolled back too far", State{Version: 5, MinCodeSchema: 4}, 3, ErrCodeTooOld},
		{"schema behind", State{Version: 2}, 3, ErrSchemaTooOld},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := CheckCompatible(tt.state, tt.code); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestSchemaCompatible(t *testing.T) {
	db := openDatabase(t)
	mustUp(t, db, migrations(t, "00001_a.sql", "-- min_code_schema: 1\n-- +goose Up\nCREATE TABLE a (id INT);"), Options{})
	if err := SchemaCompatible(db, 1)(t.Context()); err != nil {
		t.Error(err)
	}
	if err := SchemaCompatible(db, 2)(t.Context()); !errors.Is(err, ErrSchemaTooOld) {
		t.Errorf("newer code is answered with %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := SchemaCompatible(db, 1)(t.Context()); err == nil {
		t.Error("a database that does not answer is answered with nil")
	}
}
