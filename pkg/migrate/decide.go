package migrate

import (
	"context"
	"fmt"
)

// decideDone finds out whether a statement whose intent is in the journal was done. known is false if this cannot be
// determined.
func decideDone(ctx context.Context, q querier, s Statement) (isDone, known bool, err error) {
	e := effectOf(s.SQL)
	switch {
	case e.kind == rows:
		// It commits together with its journal row, which is not done.
		return false, true, nil
	case e.kind == session:
		return false, true, nil
	case e.kind != unknown:
		isDone, err = inspectSchema(ctx, q, e)
		return isDone, true, err
	case s.Verify != "":
		isDone, err = anyRow(ctx, q, s.Verify)
		if err != nil {
			return false, true, fmt.Errorf("run its verify query: %w", err)
		}
		return isDone, true, nil
	}
	return false, false, nil
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
