package migrate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
)

func TestHabitsGetAHint(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"DELIMITER", "DELIMITER //\nCREATE PROCEDURE p()\nBEGIN\nSELECT 1;\nEND //\n", "1_a.sql:2: DELIMITER is a command of the mysql client"},
		{"DELIMITER in a block", "-- +goose StatementBegin\nDELIMITER //\nSELECT 1 //\n-- +goose StatementEnd\n", "1_a.sql:3: DELIMITER is a command of the mysql client"},
		{"a dump's comment", "/*!40101 SET NAMES utf8mb4 */;\n", "1_a.sql:2: a server runs what is in '/*! ... */' or not"},
		{"a dump's comment of MariaDB", "/*M!100101 SET NAMES utf8mb4 */;\n", "1_a.sql:2: a server runs what is in '/*! ... */' or not"},
		{"a procedure", "CREATE PROCEDURE p()\nBEGIN\nSELECT 1;\nEND;\n", "1_a.sql:2: the statement ends in the middle of its body"},
		{"a trigger", "CREATE DEFINER=`a`@`b` TRIGGER t BEFORE INSERT ON a FOR EACH ROW\nIF NEW.id > 1 THEN\nSET NEW.id = 1;\nEND IF;\n", "1_a.sql:2: the statement ends in the middle of its body"},
		{"its own database", "DROP DATABASE pgo_user;\n", "1_a.sql:2: databases are created and dropped by bootcheck"},
		{"a database", "CREATE SCHEMA IF NOT EXISTS more;\n", "1_a.sql:2: databases are created and dropped by bootcheck"},
		{"the server's accounts", "INSERT INTO mysql.user VALUES (1);\n", "1_a.sql:2: the database mysql belongs to the server"},
		{"the server's accounts, quoted", "DELETE FROM `MySQL` . `user`;\n", "1_a.sql:2: the database mysql belongs to the server"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(fstest.MapFS{"1_a.sql": file("-- +goose Up\n" + tt.text)})
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	for _, text := range []string{
		"CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.id = 1;\n", "CREATE TABLE a (id INT) /*!50100 PARTITION BY HASH (id) */;\n",
		"SELECT 'mysql.user', 1.5, a.mysql FROM a;\n", "SELECT 1 FROM information_schema.tables;\n", "CREATE TABLE event (id INT);\n",
		"CREATE FUNCTION f() RETURNS INT RETURN CASE WHEN 1 THEN 2 END;\n",
	} {
		if _, err := Read(fstest.MapFS{"1_a.sql": file("-- +goose Up\n" + text)}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestForeignDatabaseIsRefused(t *testing.T) {
	db := openDatabase(t)
	own := value(t, db, "SELECT DATABASE()")
	ms := migrations(t, "00001_a.sql", "CREATE TABLE `"+own+"`.a (id INT);\nINSERT INTO a SELECT id FROM Pgo_School.schools;\n")
	_, err := Up(context.Background(), db, ms, Options{Foreign: []string{"pgo_task", "pgo_school"}})
	var e *Error
	if !errors.Is(err, ErrForeign) || !errors.As(err, &e) || e.Statement != 2 || !strings.Contains(err.Error(), "pgo_school") {
		t.Errorf("got %v", err)
	}
	wantState(t, db, State{})
}

// TestListThatIsHalfDropped drops tables of which one is unknown: MariaDB drops the others, MySQL none.
func TestListThatIsHalfDropped(t *testing.T) {
	db := openDatabase(t)
	ms := migrations(t, "00001_a.sql", "CREATE TABLE a (id INT);\nCREATE TABLE b (id INT);\nDROP TABLE a, nothere, b;\n")
	_, err := Up(context.Background(), db, ms, Options{})
	if err == nil || !strings.Contains(err.Error(), "nothere") || !strings.Contains(err.Error(), "may have done a part of it") {
		t.Fatalf("got %v", err)
	}
	for range 2 {
		if _, err := Up(context.Background(), db, ms, Options{}); !errors.Is(err, ErrUndecided) {
			t.Fatalf("got %v", err)
		}
	}
	if err := Resolve(context.Background(), db, ms, Resolution{Version: 1, Statement: 3, Done: true}, Options{}); err != nil {
		t.Fatal(err)
	}
	mustUp(t, db, ms, Options{})
}

// TestRefusedRoutineIsNotRepeated calls a procedure whose second statement is refused.
func TestRefusedRoutineIsNotRepeated(t *testing.T) {
	db := openDatabase(t)
	exec(t, db, "CREATE TABLE a (id INT) ENGINE=InnoDB")
	exec(t, db, "CREATE PROCEDURE p() BEGIN INSERT INTO a VALUES (1); INSERT INTO nowhere VALUES (1); END")
	ms := migrations(t, "00001_a.sql", "CALL p();\n")
	if _, err := Up(context.Background(), db, ms, Options{}); err == nil || !strings.Contains(err.Error(), "may have done a part of it") {
		t.Fatalf("got %v", err)
	}
	if _, err := Up(context.Background(), db, ms, Options{}); !errors.Is(err, ErrUndecided) {
		t.Fatalf("got %v", err)
	}
	if got := value(t, db, "SELECT COUNT(*) FROM a"); got != "1" {
		t.Errorf("%s rows", got)
	}
}
