package migrate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
)

func TestSessionStateAcrossStatementsIsRefused(t *testing.T) {
	tests := []struct {
		name, text string
		line       string
		said       string
	}{
		{"SET from data", "SET @n = (SELECT MAX(id) FROM t);\nINSERT INTO t VALUES (@n);", "2", "a SELECT"},
		{"SET from a function", "SET @n = 1, @id = UUID();", "2", "UUID()"},
		{"SET from a function without parentheses", "SET @n = CURRENT_TIMESTAMP;", "2", "a CURRENT_TIMESTAMP"},
		{"SET from what changes", "SELECT MAX(id) INTO @a FROM t;\nSET @b = @a + 1;", "3", "@a"},
		{"SET of a setting from data", "SET SESSION group_concat_max_len = (SELECT MAX(id) FROM t);", "2", "a SELECT"},
		{"SET from a global setting", "SET @n = @@GLOBAL.max_connections;", "2", "a global variable"},
		{"SET for the next statement", "SET INSERT_ID = 5;\nINSERT INTO t VALUES (NULL);", "2", "for the statement after it"},
		{"SET TRANSACTION", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;", "2", "SET SESSION TRANSACTION"},
		{"SELECT INTO", "SELECT MAX(id), 1 INTO @n, @m FROM t;\nINSERT INTO t VALUES (@M);", "3", "@m has the value that the statement in line 2 gave it"},
		{"SELECT INTO at the end", "SELECT MAX(id) FROM t INTO @n;\nDELETE FROM t WHERE id > @`n`;", "3", "@n has the value"},
		{"an assignment in a query", "SELECT @n := MAX(id) FROM t;\nINSERT INTO t SELECT 10 FROM t WHERE id > @n;", "3", "@n has the value"},
		{"a counter", "SET @n = 0;\nUPDATE t SET v = (@n := @n + 1);", "3", "@n is set in line 2 and changed here"},
		{"CALL", "CALL p(@n);\nINSERT INTO t VALUES (@n);", "3", "@n has the value"},
		{"a block's variable", "-- +goose StatementBegin\nSET @n = (SELECT 1);\nINSERT INTO t VALUES (@n);\n-- +goose StatementEnd\nINSERT INTO t VALUES (@n);", "6", "@n has the value"},
		{"LAST_INSERT_ID()", "INSERT INTO t VALUES (NULL);\nINSERT INTO c VALUES (last_insert_id ( ));", "3", "LAST_INSERT_ID()"},
		{"ROW_COUNT()", "UPDATE t SET v = 1;\nINSERT INTO c VALUES (ROW_COUNT());", "3", "ROW_COUNT()"},
		{"FOUND_ROWS()", "SELECT 1;\nINSERT INTO c SELECT FOUND_ROWS();", "3", "FOUND_ROWS()"},
		{"@@last_insert_id", "INSERT INTO t VALUES (NULL);\nINSERT INTO c VALUES (@@SESSION.last_insert_id);", "3", "@@last_insert_id"},
		{"@@identity", "INSERT INTO t VALUES (NULL);\nINSERT INTO c VALUES (@@identity);", "3", "@@identity"},
		{"GET DIAGNOSTICS", "UPDATE t SET v = 1;\nGET DIAGNOSTICS @n = ROW_COUNT;", "3", "GET DIAGNOSTICS"},
		{"LASTVAL", "INSERT INTO c VALUES (LASTVAL(s));", "2", "LASTVAL()"},
		{"in a comment that the server executes", "SELECT 1 /*!50000 INTO @n */;\nINSERT INTO t VALUES (/*!50000 @n */);", "3", "@n has the value"},
		{"the first statement of a block", "INSERT INTO t VALUES (NULL);\n-- +goose StatementBegin\nINSERT INTO c VALUES (LAST_INSERT_ID());\nSELECT 1;\n-- +goose StatementEnd", "4", "LAST_INSERT_ID()"},
		{"a temporary table", "CREATE TEMPORARY TABLE x AS SELECT v FROM t;\nINSERT INTO t SELECT v FROM x;", "2", "a temporary table"},
		{"a temporary table of MariaDB", "CREATE OR REPLACE TEMPORARY TABLE x (id INT);", "2", "a temporary table"},
		{"PREPARE", "PREPARE p FROM 'INSERT INTO t VALUES (1)';\nEXECUTE p;", "2", "a prepared statement"},
		{"EXECUTE", "EXECUTE p;", "2", "a prepared statement"},
		{"HANDLER", "HANDLER t OPEN;", "2", "an open HANDLER"},
		{"a setting in a block", "-- +goose StatementBegin\nSET sql_mode = '';\nINSERT INTO t VALUES (1);\n-- +goose StatementEnd", "3", "set it in a statement of its own"},
		{"a transaction in a block", "-- +goose StatementBegin\nINSERT INTO t VALUES (1);\nCOMMIT;\n-- +goose StatementEnd", "3", "COMMIT cannot be used"},
		{"a block that commits", "-- +goose StatementBegin\nSET @n = 1;\nCREATE TABLE c (id INT);\n-- +goose StatementEnd", "3", "CREATE TABLE c (id INT) commits by itself"},
		{"a block that executes what cannot be read", "-- +goose StatementBegin\nPREPARE p FROM @sql;\nEXECUTE p;\n-- +goose StatementEnd", "3", "EXECUTE p commits by itself"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(fstest.MapFS{"00001_a.sql": file("-- +goose Up\n" + tt.text + "\n")})
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || !strings.HasPrefix(err.Error(), "00001_a.sql:"+tt.line+": ") || !strings.Contains(err.Error(), tt.said) {
				t.Errorf("got %v, want line %s: ...%s", err, tt.line, tt.said)
			}
		})
	}
}

func TestSessionStateThatIsRepeatedIsAllowed(t *testing.T) {
	for _, text := range []string{
		"SET @v = 7, @w = -1.5e3, @x = 'a''b', @y = NULL, @z = (1 + 2) * @v;\nINSERT INTO t VALUES (@v, @z);",
		"SET @old = @@sql_mode;\nSET sql_mode = CONCAT(@@sql_mode, ',ANSI');\nSELECT 1;\nSET sql_mode = @old;",
		"SET NAMES utf8mb4;\nSET foreign_key_checks = 0, SESSION group_concat_max_len = 100000;\nSET sql_mode = DEFAULT;",
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;",
		"SELECT MAX(id) INTO @n FROM t;\nSET @n = 1;\nINSERT INTO t VALUES (@n);",
		"UPDATE t JOIN (SELECT @r := 0) x SET t.v = (@r := @r + 1);",
		"INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id);",
		"INSERT INTO t (last_insert_id, row_count) VALUES ('LAST_INSERT_ID()', `row_count`);",
		"GRANT SELECT ON a.* TO u@localhost;\nCREATE DEFINER=`u`@`localhost` VIEW v AS SELECT 1;\nCREATE DEFINER = u@localhost VIEW w AS SELECT 1;",
		"-- +goose StatementBegin\nCREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW BEGIN\nINSERT INTO c VALUES (LAST_INSERT_ID());\nSET @a = (SELECT 1);\nEND\n-- +goose StatementEnd",
		"-- +goose StatementBegin\nSET @n = (SELECT MAX(id) FROM t);\nINSERT INTO t VALUES (@n);\nINSERT INTO c VALUES (LAST_INSERT_ID());\n-- +goose StatementEnd",
		"-- once\n-- +goose StatementBegin\nPREPARE p FROM @sql;\nEXECUTE p;\nDEALLOCATE PREPARE p;\n-- +goose StatementEnd",
		"-- verify: SELECT 1\n-- +goose StatementBegin\nDROP PROCEDURE IF EXISTS p;\nCREATE PROCEDURE p() BEGIN\nSELECT LAST_INSERT_ID();\nEND;\n-- +goose StatementEnd",
	} {
		t.Run(text, func(t *testing.T) {
			if _, err := Read(fstest.MapFS{"00001_a.sql": file("-- +goose Up\n" + text + "\n")}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCrashInBlockRepeatsIt kills the runner at each point of blocks that share session state, and lets the next run go on.
func TestCrashInBlockRepeatsIt(t *testing.T) {
	ms := migrations(t, "00001_a.sql", `
CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT);
CREATE TABLE c (t_id INT NOT NULL, n INT NOT NULL);
INSERT INTO t (v) VALUES (1);
-- +goose StatementBegin
SET @n = (SELECT MAX(id) FROM t);
INSERT INTO t (v) VALUES (2);
INSERT INTO t (v) SELECT v * 10 FROM t WHERE id > @n;
-- +goose StatementEnd
-- +goose StatementBegin
INSERT INTO t (v) VALUES (7);
INSERT INTO c VALUES (LAST_INSERT_ID(), ROW_COUNT());
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TEMPORARY TABLE x AS SELECT v FROM t WHERE v < 10;
INSERT INTO t (v) SELECT v + 100 FROM x;
PREPARE p FROM 'INSERT INTO t (v) VALUES (1000)';
EXECUTE p;
-- +goose StatementEnd
INSERT INTO t (v) VALUES (5);
`)
	want := []string{"1,2,20,7,101,102,107,1000,5", "4 1"}
	for n := 4; n <= 6; n++ {
		for _, point := range []string{"intent", "exec"} {
			t.Run(point+" "+shorten(sqlOf(ms[0], n)), func(t *testing.T) {
				db := openDatabase(t)
				_, err := Up(context.Background(), db, ms, Options{crash: func(at string, _ Migration, s Statement) bool { return at == point && s.Number == n }})
				if !errors.Is(err, errKilledByTest) {
					t.Fatalf("got %v", err)
				}
				mustUp(t, db, ms, Options{})
				// Ids that a rolled back insert has used are not given again.
				if got := value(t, db, "SELECT GROUP_CONCAT(v ORDER BY id) FROM t"); got != want[0] {
					t.Errorf("rows %s, want %s", got, want[0])
				}
				if got := value(t, db, "SELECT CONCAT((SELECT COUNT(*) + 1 FROM t b WHERE b.id < t_id), ' ', n) FROM c"); got != want[1] {
					t.Errorf("child %s, want %s", got, want[1])
				}
			})
		}
	}
}

// TestBlockMarkedOnceIsNotRepeated checks that a person decides about a block that commits by itself, after a crash and after
// a refused part.
func TestBlockMarkedOnceIsNotRepeated(t *testing.T) {
	text := "CREATE TABLE t (id INT);\n-- once\n-- +goose StatementBegin\nINSERT INTO t VALUES (1);\nCREATE TABLE c (id INT);\nINSERT INTO t VALUES (2);\n-- +goose StatementEnd\n"
	t.Run("crash", func(t *testing.T) {
		db, ms := openDatabase(t), migrations(t, "00001_a.sql", text)
		if _, err := Up(context.Background(), db, ms, Options{crash: func(at string, _ Migration, s Statement) bool { return at == "exec" && s.Number == 2 }}); !errors.Is(err, errKilledByTest) {
			t.Fatalf("got %v", err)
		}
		if _, err := Up(context.Background(), db, ms, Options{}); !errors.Is(err, ErrUndecided) {
			t.Fatalf("got %v", err)
		}
		if err := Resolve(context.Background(), db, ms, Resolution{Version: 1, Statement: 2, Done: true}, Options{}); err != nil {
			t.Fatal(err)
		}
		mustUp(t, db, ms, Options{})
		if got := value(t, db, "SELECT GROUP_CONCAT(id ORDER BY id) FROM t"); got != "1,2" {
			t.Errorf("rows %s", got)
		}
	})
	t.Run("refused part", func(t *testing.T) {
		db := openDatabase(t)
		ms := migrations(t, "00001_a.sql", strings.Replace(text, "INSERT INTO t VALUES (2)", "INSERT INTO nowhere VALUES (2)", 1))
		_, err := Up(context.Background(), db, ms, Options{})
		if err == nil || !strings.Contains(err.Error(), "part 3 of the block (INSERT INTO nowhere VALUES (2))") || !strings.Contains(err.Error(), "the parts before it were run") {
			t.Fatalf("got %v", err)
		}
		if _, err := Up(context.Background(), db, ms, Options{}); !errors.Is(err, ErrUndecided) {
			t.Fatalf("got %v", err)
		}
		if got := value(t, db, "SELECT GROUP_CONCAT(id) FROM t"); got != "1" {
			t.Errorf("rows %s", got)
		}
	})
}

func TestRefusedBlockIsRolledBack(t *testing.T) {
	db := openDatabase(t)
	text := "CREATE TABLE t (id INT PRIMARY KEY);\n-- +goose StatementBegin\nCREATE TEMPORARY TABLE x (id INT);\nINSERT INTO t VALUES (1);\nINSERT INTO t VALUES (1);\n-- +goose StatementEnd\n"
	_, err := Up(context.Background(), db, migrations(t, "00001_a.sql", text), Options{})
	if err == nil || !strings.Contains(err.Error(), "Duplicate entry '1'") {
		t.Fatalf("got %v", err)
	}
	mustUp(t, db, migrations(t, "00001_a.sql", strings.Replace(text, "(1);\n-- +goose StatementEnd", "(2);\n-- +goose StatementEnd", 1)), Options{})
	if got := value(t, db, "SELECT GROUP_CONCAT(id ORDER BY id) FROM t"); got != "1,2" {
		t.Errorf("rows %s", got)
	}
}
