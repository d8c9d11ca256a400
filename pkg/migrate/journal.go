package migrate

import (
	"context"
	"database/sql"
	"fmt"
)

// The journal lives beside the tables it speaks of, so that a backup of the database has both.
var journalTables = []string{
	`CREATE TABLE IF NOT EXISTS pgo_schema_migration (
		version BIGINT NOT NULL PRIMARY KEY,
		file VARCHAR(255) NOT NULL,
		checksum CHAR(64) NOT NULL,
		min_code_schema BIGINT NOT NULL,
		applied_at DATETIME(6) NULL COMMENT 'UTC; NULL while it is half applied'
	) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci`,
	`CREATE TABLE IF NOT EXISTS pgo_schema_statement (
		version BIGINT NOT NULL,
		number INT NOT NULL,
		hash CHAR(64) NOT NULL,
		started_at DATETIME(6) NOT NULL COMMENT 'UTC',
		done_at DATETIME(6) NULL COMMENT 'UTC; NULL between intent and done',
		PRIMARY KEY (version, number)
	) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci`,
}

// journal is the content of the tables.
type journal struct {
	migrations map[int64]migrationRow
	statements map[int64]map[int]statementRow
}

type migrationRow struct {
	file, checksum string
	minCodeSchema  int64
	applied        bool
}

type statementRow struct {
	hash string
	done bool
}

// unverifiedPrefix replaces the start of a statement's hash once the server has done the statement and its verify query has not
// confirmed it: the statement must not be run again.
const unverifiedPrefix = "unverified:"

func unverifiedHash(s Statement) string { return unverifiedPrefix + s.Hash[len(unverifiedPrefix):] }

// querier reads: a *sql.DB, *sql.Conn or *sql.Tx.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// readJournal reads the tables. If they do not exist, the journal is empty.
func readJournal(ctx context.Context, q querier) (journal, error) {
	j := journal{migrations: map[int64]migrationRow{}, statements: map[int64]map[int]statementRow{}}
	err := queryEach(ctx, q, "SELECT version, file, checksum, min_code_schema, applied_at IS NOT NULL FROM pgo_schema_migration", func(scan func(...any) error) error {
		var v int64
		var r migrationRow
		if err := scan(&v, &r.file, &r.checksum, &r.minCodeSchema, &r.applied); err != nil {
			return err
		}
		j.migrations[v] = r
		return nil
	})
	if err == nil {
		err = queryEach(ctx, q, "SELECT version, number, hash, done_at IS NOT NULL FROM pgo_schema_statement", func(scan func(...any) error) error {
			var v int64
			var n int
			var r statementRow
			if err := scan(&v, &n, &r.hash, &r.done); err != nil {
				return err
			}
			if j.statements[v] == nil {
				j.statements[v] = map[int]statementRow{}
			}
			j.statements[v][n] = r
			return nil
		})
	}
	if err != nil && !serverError(err, erNoSuchTable) {
		return journal{}, fmt.Errorf("read the migration journal: %w", err)
	}
	return j, nil
}

func queryEach(ctx context.Context, q querier, query string, row func(scan func(...any) error) error) error {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// newestVersion returns the newest version that was applied or begun.
func (j journal) newestVersion() int64 {
	var v int64
	for version := range j.migrations {
		v = max(v, version)
	}
	return v
}

// findPending checks ms against the journal and returns the migrations that are still to run. Errors are *Error.
func (j journal) findPending(ms []Migration) ([]Migration, error) {
	byVersion, latest := map[int64]bool{}, Latest(ms)
	for _, m := range ms {
		byVersion[m.Version] = true
	}
	for v, row := range j.migrations {
		// Newer than all files: an older program on a newer schema, which is allowed after a rollback.
		if v < latest && !byVersion[v] {
			return nil, &Error{Version: v, File: row.file, Cause: fmt.Errorf("%w: put the file of version %d back", ErrMissing, v)}
		}
	}
	var left []Migration
	for _, m := range ms {
		row, begun := j.migrations[m.Version]
		switch {
		case begun && row.applied && row.checksum != m.Checksum:
			return nil, m.newError(fmt.Errorf("%w: it was applied with checksum %.12s, the file now has %.12s; put the file back as it was and write a new migration", ErrChanged, row.checksum, m.Checksum))
		case begun && row.applied:
		case !begun && m.Version < j.newestVersion():
			return nil, m.newError(fmt.Errorf("%w: version %d was never applied and %d already was; give the file a number above %d", ErrOutOfOrder, m.Version, j.newestVersion(), j.newestVersion()))
		default:
			if err := j.checkUnchanged(m); err != nil {
				return nil, err
			}
			left = append(left, m)
		}
	}
	return left, nil
}

// describeHalfApplied names a migration above latest that is half applied, and how far it came. It is empty if there is none.
func (j journal) describeHalfApplied(latest int64) string {
	for version, row := range j.migrations {
		if version <= latest || row.applied {
			continue
		}
		done, interrupted := 0, ""
		for number, s := range j.statements[version] {
			if s.done {
				done = max(done, number)
			} else {
				interrupted = fmt.Sprintf(", and an earlier run was interrupted in statement %d", number)
			}
		}
		return fmt.Sprintf("migration %s of a newer program is half applied: its statements up to %d are done%s; this program is compatible by min_code_schema; "+
			"put the newer program in place to finish it", row.file, done, interrupted)
	}
	return ""
}

// checkUnchanged refuses a half applied migration whose file differs in statements that were run.
func (j journal) checkUnchanged(m Migration) error {
	for n, row := range j.statements[m.Version] {
		if n > len(m.Statements) {
			return m.newError(fmt.Errorf("%w: statement %d was run and is no longer in the file", ErrChanged, n))
		}
		if s := m.Statements[n-1]; row.done && row.hash != s.Hash {
			return m.newErrorAt(s, fmt.Errorf("%w: statement %d was run with another text; only what comes after it may be corrected", ErrChanged, n))
		}
	}
	return nil
}

// recordBegin records that a migration is being applied.
func recordBegin(ctx context.Context, x execer, m Migration) error {
	_, err := x.ExecContext(ctx, `INSERT INTO pgo_schema_migration (version, file, checksum, min_code_schema) VALUES (?, ?, ?, ?)
		ON DUPLICATE KEY UPDATE file = VALUES(file), checksum = VALUES(checksum), min_code_schema = VALUES(min_code_schema)`,
		m.Version, m.File, m.Checksum, m.MinCodeSchema)
	return err
}

// forgetBegin removes the record of a migration of which nothing was run, so that it does not bind older code.
func forgetBegin(ctx context.Context, x execer, version int64) error {
	_, err := x.ExecContext(ctx, `DELETE FROM pgo_schema_migration WHERE version = ? AND applied_at IS NULL
		AND NOT EXISTS (SELECT 1 FROM pgo_schema_statement s WHERE s.version = ?)`, version, version)
	return err
}

func recordApplied(ctx context.Context, x execer, version int64) error {
	_, err := x.ExecContext(ctx, "UPDATE pgo_schema_migration SET applied_at = UTC_TIMESTAMP(6) WHERE version = ?", version)
	return err
}

func recordIntent(ctx context.Context, x execer, version int64, s Statement) error {
	_, err := x.ExecContext(ctx, `INSERT INTO pgo_schema_statement (version, number, hash, started_at) VALUES (?, ?, ?, UTC_TIMESTAMP(6))
		ON DUPLICATE KEY UPDATE hash = VALUES(hash), started_at = VALUES(started_at)`, version, s.Number, s.Hash)
	return err
}

// recordUnverified records that the server has done a statement which its verify query does not confirm.
func recordUnverified(ctx context.Context, x execer, version int64, s Statement) error {
	_, err := x.ExecContext(ctx, "UPDATE pgo_schema_statement SET hash = ? WHERE version = ? AND number = ? AND done_at IS NULL", unverifiedHash(s), version, s.Number)
	return err
}

func clearIntent(ctx context.Context, x execer, version int64, number int) error {
	_, err := x.ExecContext(ctx, "DELETE FROM pgo_schema_statement WHERE version = ? AND number = ? AND done_at IS NULL", version, number)
	return err
}

// recordDone marks an intent as done. Exactly one row must be there: any other count means that another process wrote.
func recordDone(ctx context.Context, x execer, version int64, s Statement) error {
	res, err := x.ExecContext(ctx, "UPDATE pgo_schema_statement SET done_at = UTC_TIMESTAMP(6) WHERE version = ? AND number = ? AND hash = ? AND done_at IS NULL", version, s.Number, s.Hash)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return fmt.Errorf("the journal's row of statement %d has gone or is already done", s.Number)
	}
	return nil
}
