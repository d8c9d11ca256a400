package migrate

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"testing"

	"pgo/pkg/testing/testkit"
)

// TestUpDoesNotDependOnTheServersSettings runs migrations over connections whose settings are as if the server had other defaults.
func TestUpDoesNotDependOnTheServersSettings(t *testing.T) {
	d := testkit.NewDatabase(t)
	settings := url.Values{
		"autocommit": {"0"}, "sql_safe_updates": {"1"}, "default_storage_engine": {"MyISAM"}, "sql_mode": {"''"}, "completion_type": {"'CHAIN'"},
		"sql_select_limit": {"1"}, "foreign_key_checks": {"0"},
	}
	connected, err := sql.Open("mysql", d.DSN()+"&"+settings.Encode())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connected.Close() })
	ms := migrations(t, "00001_a.sql", "CREATE TABLE a (id INT PRIMARY KEY, at TIMESTAMP NULL);\nINSERT INTO a (id) VALUES (1), (2);\nUPDATE a SET id = id + 10;\n",
		"00002_b.sql", "CREATE TABLE b (id INT PRIMARY KEY);\nINSERT INTO b SELECT id FROM a;\n")
	mustUp(t, connected, ms, Options{})

	other := d.Open(t)
	wantState(t, other, State{Version: 2})
	if got := value(t, other, "SELECT GROUP_CONCAT(id ORDER BY id) FROM b"); got != "11,12" {
		t.Errorf("rows %s", got)
	}
	if r := mustUp(t, connected, ms, Options{}); r.Statements != 0 {
		t.Errorf("a second run ran %d statements", r.Statements)
	}
}

// TestTimestampColumnsGetNoDefaults changes a setting that only some servers let a session change, so it has a server of its own.
func TestTimestampColumnsGetNoDefaults(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server of its own")
	}
	d := testkit.NewOwnDatabase(t)
	exec(t, d.Open(t), "SET GLOBAL explicit_defaults_for_timestamp = 0")
	db := d.Open(t)
	mustUp(t, db, migrations(t, "00001_a.sql", "CREATE TABLE a (id INT PRIMARY KEY, at TIMESTAMP);"), Options{})
	if got := value(t, db, "SELECT CONCAT(is_nullable, ' ', COALESCE(column_default, 'NULL'), ' ', extra) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'a' AND column_name = 'at'"); got != "YES NULL " {
		t.Errorf("the column is %q", got)
	}
}

func TestUnsuitableDatabaseIsRefused(t *testing.T) {
	ms := migrations(t, "00001_a.sql", "CREATE TABLE a (id INT PRIMARY KEY, code CHAR(3) CHARACTER SET ascii) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;")
	tests := []struct {
		name, prepare string
		mend          string // as the error has it, with NAME for the database
	}{
		{"character set", "ALTER DATABASE NAME CHARACTER SET latin1 COLLATE latin1_swedish_ci", "ALTER DATABASE NAME CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"},
		{"collation", "ALTER DATABASE NAME CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "ALTER DATABASE NAME CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"},
		{"engine", "CREATE TABLE `old``one` (id INT) ENGINE=MyISAM", "ALTER TABLE NAME.`old``one` ENGINE=InnoDB"},
		{"a table's character set", "CREATE TABLE old (id INT) CHARACTER SET latin1", "ALTER TABLE NAME.`old` CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := openDatabase(t)
			name := "`" + value(t, db, "SELECT DATABASE()") + "`"
			exec(t, db, strings.ReplaceAll(tt.prepare, "NAME", name))
			mend := strings.ReplaceAll(tt.mend, "NAME", name)
			_, err := Up(context.Background(), db, ms, Options{})
			if !errors.Is(err, ErrUnsuitable) || !strings.HasSuffix(err.Error(), "then run: "+mend) {
				t.Fatalf("got %v, want %s", err, mend)
			}
			wantState(t, db, State{})
			exec(t, db, mend)
			mustUp(t, db, ms, Options{})
		})
	}
}

func TestMigrationThatMakesAnUnsuitableTable(t *testing.T) {
	db := openDatabase(t)
	_, err := Up(context.Background(), db, migrations(t, "00001_a.sql", "CREATE TABLE a (id INT) ENGINE=MyISAM;"), Options{})
	if !errors.Is(err, ErrUnsuitable) || !strings.Contains(err.Error(), "`a` ENGINE=InnoDB") {
		t.Errorf("got %v", err)
	}
}
