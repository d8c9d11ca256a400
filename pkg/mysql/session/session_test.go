package session_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"pgo/pkg/mysql/session"
	"pgo/pkg/testing/testkit"
)

// TestConnectionsDoNotDependOnTheServer opens connections whose settings are as if the server had other defaults.
func TestConnectionsDoNotDependOnTheServer(t *testing.T) {
	d := testkit.NewDatabase(t)
	cfg, err := mysql.ParseDSN(d.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Params = map[string]string{
		"autocommit": "0", "sql_mode": "''", "time_zone": "'+05:00'", "completion_type": "'CHAIN'", "sql_safe_updates": "1", "sql_auto_is_null": "1",
		"sql_select_limit": "1", "sql_big_selects": "0", "foreign_key_checks": "0", "unique_checks": "0", "default_storage_engine": "MyISAM",
	}
	inner, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(session.NewConnector(inner, session.Settings{SQLMode: "STRICT_ALL_TABLES", RowWait: 3 * time.Second, TableWait: 4 * time.Second}))
	t.Cleanup(func() { db.Close() })
	for name, want := range map[string]string{
		"autocommit": "1", "sql_mode": "STRICT_ALL_TABLES", "time_zone": "+00:00", "completion_type": "NO_CHAIN", "sql_safe_updates": "0", "sql_auto_is_null": "0",
		"sql_select_limit": "18446744073709551615", "sql_big_selects": "1", "foreign_key_checks": "1", "unique_checks": "1", "default_storage_engine": "InnoDB",
		"innodb_lock_wait_timeout": "3", "lock_wait_timeout": "4",
	} {
		var got string
		if err := db.QueryRowContext(t.Context(), "SELECT @@SESSION."+name).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"max_statement_time", "max_execution_time"} {
		var variable, got string
		err := db.QueryRowContext(t.Context(), "SHOW SESSION VARIABLES LIKE '"+name+"'").Scan(&variable, &got)
		if err == nil && got != "0" && got != "0.000000" {
			t.Errorf("%s is %s", name, got)
		}
	}
}
