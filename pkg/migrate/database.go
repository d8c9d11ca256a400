package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ErrUnsuitable is the cause of an error about a database whose character set, collation or engine is not the one that the
// product relies on.
var ErrUnsuitable = errors.New("the database is not as the services need it")

const (
	characterSet = "utf8mb4"
	collation    = "utf8mb4_unicode_ci"
	engine       = "InnoDB"
)

// maxMends bounds how many statements an error names.
const maxMends = 10

// checkDatabase returns ErrUnsuitable, with the statements that mend it, for a database that compares or stores texts in another
// way, or has tables without transactions. Tables and columns in ascii or binary are right.
func checkDatabase(ctx context.Context, q querier) error {
	mends, err := findMends(ctx, q)
	if err != nil {
		return fmt.Errorf("look at the database's character set and engines: %w", err)
	}
	if len(mends) == 0 {
		return nil
	}
	more := ""
	if len(mends) > maxMends {
		mends, more = mends[:maxMends], " and more of the same kind"
	}
	return fmt.Errorf("%w (character set %s, collation %s, engine %s); make a backup, then run: %s%s", ErrUnsuitable, characterSet, collation, engine,
		strings.Join(mends, "; "), more)
}

// findMends returns the statements that make the database suitable.
func findMends(ctx context.Context, q querier) ([]string, error) {
	var mends []string
	err := queryEach(ctx, q, "SELECT schema_name, default_collation_name FROM information_schema.schemata WHERE schema_name = DATABASE()", func(scan func(...any) error) error {
		var name, has string
		if err := scan(&name, &has); err != nil {
			return err
		}
		if has != collation {
			mends = append(mends, fmt.Sprintf("ALTER DATABASE %s CHARACTER SET %s COLLATE %s", quoteName(name), characterSet, collation))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = queryEach(ctx, q, `SELECT table_schema, table_name, COALESCE(engine, ''), COALESCE(table_collation, '') FROM information_schema.tables
		WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name`, func(scan func(...any) error) error {
		var schema, name, hasEngine, hasCollation string
		if err := scan(&schema, &name, &hasEngine, &hasCollation); err != nil {
			return err
		}
		if !strings.EqualFold(hasEngine, engine) {
			mends = append(mends, fmt.Sprintf("ALTER TABLE %s.%s ENGINE=%s", quoteName(schema), quoteName(name), engine))
		}
		if set, _, _ := strings.Cut(hasCollation, "_"); set != characterSet && set != "ascii" && set != "binary" {
			mends = append(mends, fmt.Sprintf("ALTER TABLE %s.%s CONVERT TO CHARACTER SET %s COLLATE %s", quoteName(schema), quoteName(name), characterSet, collation))
		}
		return nil
	})
	return mends, err
}
