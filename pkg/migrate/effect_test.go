package migrate

import "testing"

func TestEffectOf(t *testing.T) {
	tests := []struct {
		sql  string
		want effect
	}{
		{"INSERT INTO t VALUES (1);", effect{kind: rows}},
		{"/* why */ update t set a = 1;", effect{kind: rows}},
		{"SET FOREIGN_KEY_CHECKS = 0;", effect{kind: settings}},
		{"SET @@SESSION.sql_mode = '';", effect{kind: settings}},
		{"SET GLOBAL max_connections = 1;", effect{}},
		{"SET @@GLOBAL.max_connections = 1;", effect{}},
		{"SET PASSWORD FOR x = 'y';", effect{}},
		{"CREATE TABLE t (a INT);", effect{kind: createTable, table: "t"}},
		{"create table if not exists `a``b`.`c d` (a INT);", effect{kind: createTable, schema: "a`b", table: "c d"}},
		{"CREATE TABLE t AS SELECT 1;", effect{}},
		{"CREATE TEMPORARY TABLE t (a INT);", effect{}},
		{"CREATE OR REPLACE TABLE t (a INT);", effect{}},
		{"DROP TABLE t;", effect{kind: dropTable, table: "t"}},
		{"DROP TABLE IF EXISTS t CASCADE;", effect{kind: dropTable, table: "t"}},
		{"DROP TABLE t, u;", effect{}},
		{"ALTER TABLE t ADD COLUMN c INT NOT NULL DEFAULT (1, 2);", effect{kind: addColumn, table: "t", name: "c"}},
		{"ALTER TABLE t ADD c INT COMMENT 'a, b', ALGORITHM=INSTANT, LOCK=NONE;", effect{kind: addColumn, table: "t", name: "c"}},
		{"ALTER TABLE t ADD COLUMN c INT, ADD COLUMN d INT;", effect{}},
		{"ALTER TABLE t ADD COLUMN (c INT);", effect{}},
		{"ALTER TABLE t ADD COLUMN IF NOT EXISTS c INT;", effect{kind: addColumn, table: "t", name: "c"}},
		{"ALTER TABLE t DROP COLUMN c;", effect{kind: dropColumn, table: "t", name: "c"}},
		{"ALTER TABLE t DROP `index`;", effect{kind: dropColumn, table: "t", name: "index"}},
		{"ALTER TABLE t DROP PRIMARY KEY;", effect{}},
		{"ALTER TABLE t DROP FOREIGN KEY f;", effect{}},
		{"ALTER TABLE t DROP CONSTRAINT f;", effect{}},
		{"ALTER TABLE t ADD CONSTRAINT f CHECK (a > 1);", effect{}},
		{"ALTER TABLE t ADD UNIQUE (a);", effect{}},
		{"ALTER TABLE t ADD UNIQUE KEY k (a);", effect{kind: addIndex, table: "t", name: "k"}},
		{"ALTER TABLE t ADD INDEX (a);", effect{}},
		{"ALTER TABLE t ADD INDEX k (a, b);", effect{kind: addIndex, table: "t", name: "k"}},
		{"ALTER TABLE t DROP KEY k;", effect{kind: dropIndex, table: "t", name: "k"}},
		{"ALTER TABLE t MODIFY a BIGINT;", effect{}},
		{"ALTER TABLE t RENAME TO u;", effect{}},
		{"CREATE UNIQUE INDEX k ON s.t (a);", effect{kind: addIndex, schema: "s", table: "t", name: "k"}},
		{"CREATE INDEX k USING BTREE ON t (a);", effect{kind: addIndex, table: "t", name: "k"}},
		{"DROP INDEX k ON t;", effect{kind: dropIndex, table: "t", name: "k"}},
		{"TRUNCATE t;", effect{}},
		{"CREATE TABLE t (a INT) /*!50100 PARTITION BY HASH(a) */;", effect{}},
		{"ALTER TABLE", effect{}},
		{"ALTER TABLE t ADD INDEX", effect{}},
		{"ALTER TABLE t, ADD c INT;", effect{}},
		{"CREATE TABLE 't' (a INT);", effect{}},
	}
	for _, tt := range tests {
		t.Run(tt.sql, func(t *testing.T) {
			if got := effectOf(tt.sql); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
