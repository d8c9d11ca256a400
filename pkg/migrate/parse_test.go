package migrate

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func TestReadStatements(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
		verify     []string
	}{
		{name: "two on two lines", text: "-- +goose Up\nSELECT 1;\nSELECT\n  2;\n", want: []string{"SELECT 1;", "SELECT\n  2;"}},
		{name: "no line feed at the end", text: "-- +goose Up\nSELECT 1;", want: []string{"SELECT 1;"}},
		{name: "CRLF and byte order mark", text: "\ufeff-- +goose Up\r\nSELECT 1;\r\n", want: []string{"SELECT 1;"}},
		{name: "comment after the semicolon", text: "-- +goose Up\nSELECT 1; -- why\nSELECT 2; # why; too\n", want: []string{"SELECT 1; -- why", "SELECT 2; # why; too"}},
		{name: "semicolon in a string that spans lines", text: "-- +goose Up\nINSERT INTO t VALUES ('a;\nb''; \\'\n;');\n", want: []string{"INSERT INTO t VALUES ('a;\nb''; \\'\n;');"}},
		{name: "semicolon in comments", text: "-- +goose Up\nSELECT /* a;\n b;\n*/ 1 -- c;\n;\n", want: []string{"SELECT /* a;\n b;\n*/ 1 -- c;\n;"}},
		{name: "semicolon in a quoted name", text: "-- +goose Up\nSELECT `a;\n\\`;\n", want: []string{"SELECT `a;\n\\`;"}},
		{name: "minus minus without a space is no comment", text: "-- +goose Up\nSELECT 1--1;\n", want: []string{"SELECT 1--1;"}},
		{name: "block", text: "-- +goose Up\n-- +goose StatementBegin\nCREATE PROCEDURE p() BEGIN\nSELECT 1;\nEND\n-- +goose StatementEnd\nSELECT 2;\n", want: []string{"CREATE PROCEDURE p() BEGIN\nSELECT 1;\nEND", "SELECT 2;"}},
		{name: "down is not run", text: "-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;\n-- +goose StatementBegin\nx;y\n-- +goose StatementEnd\n", want: []string{"SELECT 1;"}},
		{name: "comments between", text: "-- hello\n\n-- +goose up\n-- note\n\n  -- note\nSELECT 1;\n-- end\n", want: []string{"SELECT 1;"}},
		{name: "verify after another kind of comment", text: "-- +goose Up\n/* why */\n-- verify: SELECT 3\nSELECT 2;\n# why\n-- verify: SELECT 4\nSELECT 5;\n", want: []string{"/* why */\n-- verify: SELECT 3\nSELECT 2;", "# why\n-- verify: SELECT 4\nSELECT 5;"}, verify: []string{"SELECT 3", "SELECT 4"}},
		{name: "verify in another kind of comment", text: "-- +goose Up\n/* verify: SELECT 3\n * FROM t; */ SELECT 2;\n# verify: SELECT 4;\n# why\nSELECT 5;\n", want: []string{"/* verify: SELECT 3\n * FROM t; */ SELECT 2;", "# verify: SELECT 4;\n# why\nSELECT 5;"}, verify: []string{"SELECT 3\nFROM t", "SELECT 4"}},
		{name: "verify on several lines", text: "-- +goose Up\n-- verify:\n--   SELECT 3\n--   * 2\n\n-- why\nSELECT 2;\n-- verify: SELECT 4;\n-- why\nSELECT 5;\n", want: []string{"SELECT 2;", "SELECT 5;"}, verify: []string{"SELECT 3\n* 2", "SELECT 4"}},
		{name: "verify before a block and in it", text: "-- +goose Up\n-- verify: SELECT 3\n-- +goose StatementBegin\nSELECT 2;\n-- +goose StatementEnd\n-- +goose StatementBegin\n-- verify: SELECT 4\nSELECT 5;\n-- +goose StatementEnd\n", want: []string{"SELECT 2;", "SELECT 5;"}, verify: []string{"SELECT 3", "SELECT 4"}},
		{name: "verify before Up", text: "-- verify: SELECT 3\n-- +goose Up\nSELECT 2;\n", want: []string{"SELECT 2;"}, verify: []string{"SELECT 3"}},
		{name: "prose that begins like a directive", text: "-- +goose Up\n-- verify that it works\n-- once a day\n-- minimum: 3\nSELECT 2;\n", want: []string{"SELECT 2;"}},
		{name: "verify", text: "-- +goose Up\nSELECT 1;\n-- verify: SELECT 3 FROM t;\nSELECT 2;\n", want: []string{"SELECT 1;", "SELECT 2;"}, verify: []string{"", "SELECT 3 FROM t"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ms, err := Read(fstest.MapFS{"00001_a.sql": file(tt.text)})
			if err != nil {
				t.Fatal(err)
			}
			var got, verify []string
			for i, s := range ms[0].Statements {
				got, verify = append(got, s.SQL), append(verify, s.Verify)
				if s.Number != i+1 {
					t.Errorf("statement %d has number %d", i+1, s.Number)
				}
			}
			if tt.verify == nil {
				tt.verify = make([]string, len(tt.want))
			}
			if d := cmp.Diff(tt.want, got) + cmp.Diff(tt.verify, verify); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	tests := []struct {
		name  string
		files fstest.MapFS
		want  string
	}{
		{"name", fstest.MapFS{"users.sql": file("-- +goose Up\nSELECT 1;")}, "users.sql: expected a name like 00012_add_users.sql"},
		{"version 0", fstest.MapFS{"0_a.sql": file("-- +goose Up\nSELECT 1;")}, "0_a.sql: expected a version of 1 or more"},
		{"duplicate version", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSELECT 1;"), "01_b.sql": file("-- +goose Up\nSELECT 1;")}, "1_a.sql: version 1 is also the version of 01_b.sql"},
		{"empty", fstest.MapFS{"1_a.sql": file(" \n")}, "1_a.sql: the file is empty"},
		{"no up", fstest.MapFS{"1_a.sql": file("-- hello\n")}, "1_a.sql: expected a line '-- +goose Up'"},
		{"nothing in up", fstest.MapFS{"1_a.sql": file("-- +goose Up\n-- +goose Down\nSELECT 1;")}, "1_a.sql: the Up section has no statement"},
		{"statement before up", fstest.MapFS{"1_a.sql": file("\nSELECT 1;\n-- +goose Up\n")}, "1_a.sql:2: expected '-- +goose Up' before"},
		{"two ups", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSELECT 1;\n-- +goose Up\n")}, "1_a.sql:3: '-- +goose Up' is expected once"},
		{"unterminated", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSELECT 1;\nSELECT\n2\n")}, "1_a.sql:3: the statement that starts here does not end"},
		{"unterminated before down", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSELECT 1\n-- +goose Down\n")}, "1_a.sql:2: the statement that starts here does not end"},
		{"unterminated in down", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2")}, "1_a.sql:4: the statement that starts here does not end"},
		{"open string", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSELECT 'a;\n")}, "1_a.sql:2: the statement that starts here does not end"},
		{"two on one line", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSELECT 1; SELECT 2;\n")}, "1_a.sql:2: more text after ';'"},
		{"comment that goes on", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSELECT 1; /* a\nb */\n")}, "1_a.sql:2: a comment that goes on after ';'"},
		{"empty statement", fstest.MapFS{"1_a.sql": file("-- +goose Up\n;\n")}, "1_a.sql:2: an empty statement"},
		{"block not ended", fstest.MapFS{"1_a.sql": file("-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n")}, "1_a.sql:2: '-- +goose StatementBegin' without"},
		{"block not begun", fstest.MapFS{"1_a.sql": file("-- +goose Up\n-- +goose StatementEnd\n")}, "1_a.sql:2: '-- +goose StatementEnd' without"},
		{"empty block", fstest.MapFS{"1_a.sql": file("-- +goose Up\n-- +goose StatementBegin\n-- +goose StatementEnd\n")}, "1_a.sql:2: an empty statement"},
		{"unknown annotation", fstest.MapFS{"1_a.sql": file("-- +goose Up\n-- +goose ENVSUB ON\n")}, "1_a.sql:2: '-- +goose ENVSUB ON' is not supported"},
		{"indented annotation", fstest.MapFS{"1_a.sql": file(" -- +goose Up\n")}, "1_a.sql:1: white space before"},
		{"bad UTF-8", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSELECT '\xff';\n")}, "1_a.sql:2: expected UTF-8"},
		{"lone carriage return", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSELECT\r1;\n")}, "1_a.sql:2: a carriage return"},
		{"header that is not a number", fstest.MapFS{"1_a.sql": file("-- min_code_schema: one\n-- +goose Up\nSELECT 1;")}, "1_a.sql:1: min_code_schema: expected a whole number"},
		{"header too late", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSELECT 1;\n-- min_code_schema: 1\n")}, "1_a.sql:3: min_code_schema: expected before"},
		{"header twice", fstest.MapFS{"1_a.sql": file("-- min_code_schema: 1\n-- min_code_schema: 1\n")}, "1_a.sql:2: min_code_schema is said twice"},
		{"header above the version", fstest.MapFS{"1_a.sql": file("-- min_code_schema: 2\n-- +goose Up\nSELECT 1;")}, "1_a.sql: min_code_schema 2 is newer"},
		{"verify without statement", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSELECT 1;\n-- verify: SELECT 1\n")}, "1_a.sql:4: verify: expected a statement after it"},
		{"verify that is no SELECT on its second line", fstest.MapFS{"1_a.sql": file("-- +goose Up\n-- verify:\n-- DELETE FROM t\nSELECT 1;")}, "1_a.sql:2: verify: expected a SELECT"},
		{"verify of two statements", fstest.MapFS{"1_a.sql": file("-- +goose Up\n-- verify: SELECT 1; DELETE FROM t\nSELECT 1;")}, "1_a.sql:2: verify: expected one SELECT"},
		{"verify before Down", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSELECT 1;\n-- verify: SELECT 1\n-- +goose Down\nSELECT 2;")}, "1_a.sql:4: verify: expected a statement after it"},
		{"verify inside a statement", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSELECT 1\n-- verify: SELECT 1\n;")}, "1_a.sql:3: verify: expected in a comment before the statement"},
		{"verify behind a statement", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSELECT 1; -- verify: SELECT 1\n")}, "1_a.sql:2: verify: expected in a comment before the statement"},
		{"verify and once", fstest.MapFS{"1_a.sql": file("-- +goose Up\n-- once\n-- verify: SELECT 1\nRENAME TABLE a TO b;")}, "1_a.sql:3: expected either verify or once"},
		{"once that is not needed", fstest.MapFS{"1_a.sql": file("-- +goose Up\n-- once\nCREATE TABLE a (id INT);")}, "1_a.sql:3: '-- once' is not needed"},
		{"once without statement", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSELECT 1;\n-- once\n")}, "1_a.sql:4: once: expected a statement after it"},
		{"header inside the first statement", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSELECT 1 -- min_code_schema: 1\n;")}, "1_a.sql:2: min_code_schema: expected before"},
		{"verify that is no SELECT", fstest.MapFS{"1_a.sql": file("-- +goose Up\n-- verify: DELETE FROM t\nSELECT 1;")}, "1_a.sql:2: verify: expected a SELECT"},
		{"transaction", fstest.MapFS{"1_a.sql": file("-- +goose Up\n/* x */ begin;\n")}, "1_a.sql:2: BEGIN cannot be used"},
		{"autocommit", fstest.MapFS{"1_a.sql": file("-- +goose Up\nSET autocommit=0;\n")}, "1_a.sql:2: SET autocommit cannot be used"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(tt.files)
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %s...", err, tt.want)
			}
		})
	}
}

func TestChecksumCoversTheStatementsOnly(t *testing.T) {
	read := func(text string) Migration {
		t.Helper()
		ms, err := Read(fstest.MapFS{"00007_a.sql": file(text)})
		if err != nil {
			t.Fatal(err)
		}
		return ms[0]
	}
	base := read("-- min_code_schema: 3\n-- +goose Up\nSELECT 1;\n")
	if base.Version != 7 || base.MinCodeSchema != 3 {
		t.Errorf("version %d, min_code_schema %d", base.Version, base.MinCodeSchema)
	}
	tests := []struct {
		name, text string
		same       bool
	}{
		{"comment", "-- hello\n-- min_code_schema: 3\n-- +goose Up\n-- why\nSELECT 1;\n", true},
		{"CRLF", "-- min_code_schema: 3\r\n-- +goose Up\r\nSELECT 1;\r\n", true},
		{"Down", "-- min_code_schema: 3\n-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;", true},
		{"statement", "-- min_code_schema: 3\n-- +goose Up\nSELECT 2;\n", false},
		{"header", "-- min_code_schema: 2\n-- +goose Up\nSELECT 1;\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if same := read(tt.text).Checksum == base.Checksum; same != tt.same {
				t.Errorf("same checksum: %v", same)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"-- +goose Up\nSELECT 1;\n-- +goose Down\nDROP TABLE t;\n",
		"-- min_code_schema: 1\n-- +goose Up\n-- +goose StatementBegin\nx;\n-- +goose StatementEnd\n",
		"-- +goose Up\nINSERT INTO t VALUES ('a\\';\n''', \"b;\", `c;`); -- d\n/* e; */ # f;\n;",
		"-- +goose Up\nALTER TABLE `a`.`b` ADD COLUMN c INT, ALGORITHM=INSTANT;\nCREATE UNIQUE INDEX i ON t (a);\n-- verify: SELECT 1\nDROP TABLE IF EXISTS t;",
		"\ufeff-- +goose Up\r\n;;\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseFile("00001_a.sql", text)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("%T: %v", err, err)
			}
			if syntax.Line > strings.Count(text, "\n")+1 {
				t.Fatalf("line %d of %d", syntax.Line, strings.Count(text, "\n")+1)
			}
			return
		}
		if len(m.Statements) == 0 {
			t.Fatal("no statement and no error")
		}
		for _, s := range m.Statements {
			if s.Verify != "" || s.Once {
				return // directives are not part of the text that follows
			}
		}
		// What was read, written down again, is read the same.
		var again strings.Builder
		again.WriteString("-- +goose Up\n")
		for i, s := range m.Statements {
			if s.Number != i+1 || s.Line < 1 || s.SQL == "" || s.Hash == "" {
				t.Fatalf("statement %+v", s)
			}
			effectOf(s.SQL)
			again.WriteString("-- +goose StatementBegin\n" + s.SQL + "\n-- +goose StatementEnd\n")
		}
		second, err := parseFile("00001_a.sql", again.String())
		if err != nil || len(second.Statements) != len(m.Statements) {
			t.Fatalf("read again: %d statements, %v", len(second.Statements), err)
		}
		for i := range m.Statements {
			if m.Statements[i].Hash != second.Statements[i].Hash {
				t.Fatalf("%q became %q", m.Statements[i].SQL, second.Statements[i].SQL)
			}
		}
	})
}
