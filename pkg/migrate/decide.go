package migrate

import (
	"context"
	"fmt"
)

// decideDone finds out whether a statement whose intent is in the journal was done. known is false if this cannot be
// determined.
func decideDone(ctx context.Context, q querier, s Statement) (isDone, known bool, err error) {
	switch {
	case s.effect.kind == rows:
		// It commits together with its journal row, which is not done.
		return false, true, nil
	case s.effect.kind == settings:
		return false, true, nil
	case s.effect.kind != unknown:
		isDone, err = inspectSchema(ctx, q, s.effect)
		return isDone, true, err
	case s.Verify != "":
		isDone, err = isVerified(ctx, q, s)
		return isDone, true, err
	}
	return false, false, nil
}

// isVerified reports whether the statement's verify query returns a row. A query about a table, column, view or routine that does
// not exist returns none.
func isVerified(ctx context.Context, q querier, s Statement) (bool, error) {
	found, err := anyRow(ctx, q, s.Verify)
	if serverError(err, erNoSuchTable, erBadField, erNoSuchRoutine, erViewInvalid) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("run its verify query (every comment line after 'verify:' belongs to it, up to a ';'): %w", err)
	}
	return found, nil
}

// inspectSchema reports whether the schema already has the statement's effect.
func inspectSchema(ctx context.Context, q querier, e effect) (bool, error) {
	var there bool
	var err error
	const schema = "table_schema = COALESCE(NULLIF(?, ''), DATABASE()) AND table_name = ?"
	switch e.kind {
	case createTable, dropTable:
		there, err = anyRow(ctx, q, "SELECT 1 FROM information_schema.tables WHERE "+schema, e.schema, e.table)
	case addColumn, dropColumn:
		there, err = anyRow(ctx, q, "SELECT 1 FROM information_schema.columns WHERE "+schema+" AND column_name = ?", e.schema, e.table, e.name)
	case addIndex, dropIndex:
		there, err = anyRow(ctx, q, "SELECT 1 FROM information_schema.statistics WHERE "+schema+" AND index_name = ? LIMIT 1", e.schema, e.table, e.name)
	default:
		return false, fmt.Errorf("effect %d has nothing to look at", e.kind)
	}
	if err != nil {
		return false, fmt.Errorf("look in information_schema: %w", err)
	}
	switch e.kind {
	case dropTable, dropColumn, dropIndex:
		return !there, nil
	}
	return there, nil
}

func anyRow(ctx context.Context, q querier, query string, args ...any) (bool, error) {
	found, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	defer found.Close()
	ok := found.Next()
	return ok, found.Err()
}

// atOnce are the numbers of errors with which a server refuses a statement before it does anything: syntax, privileges, no such
// routine.
var atOnce = []uint16{1044, 1064, 1142, 1149, 1227, 1305, 1370}

// mayBeHalfDone reports whether the server may have done a part of a statement that it then refused with err: MariaDB drops
// the tables before an unknown one in a list, and a routine has several statements.
func mayBeHalfDone(sql string, err error) bool {
	if !serverError(err) || serverError(err, atOnce...) {
		return false
	}
	r := &tokenReader{words: tokenizeStatement(sql)}
	switch {
	case r.takeKeywords("CALL"), r.takeKeywords("EXECUTE"):
		return true
	case r.takeKeywords("DROP"):
		return len(r.splitClauses()) > 1 && !serverError(err, erLockWaitTimeout)
	}
	return false
}
