package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// State describes a database's schema.
type State struct {
	Version       int64 // the newest applied version, 0 for a database that was never migrated
	MinCodeSchema int64 // the oldest code that supports it, by that code's schema version
	Dirty         int64 // the version that is half applied, 0 for none
}

// Reasons why a program and a schema are not compatible.
var (
	ErrSchemaTooOld = errors.New("the schema is older than this program needs")
	ErrCodeTooOld   = errors.New("this program is too old for the schema")
)

// ReadState reads the database's state with one cheap query. A database that was never migrated has the zero State and is no
// error. A half applied migration counts for MinCodeSchema: its first statements may already bind older code.
func ReadState(ctx context.Context, db *sql.DB) (State, error) {
	var s State
	err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(CASE WHEN applied_at IS NOT NULL THEN version END), 0),
		COALESCE(MAX(min_code_schema), 0), COALESCE(MAX(CASE WHEN applied_at IS NULL THEN version END), 0)
		FROM pgo_schema_migration`).Scan(&s.Version, &s.MinCodeSchema, &s.Dirty)
	if serverError(err, erNoSuchTable) {
		return State{}, nil
	}
	if err != nil {
		return State{}, fmt.Errorf("read the schema version: %w", err)
	}
	return s, nil
}

// CheckCompatible returns nil if code that brings migrations up to codeSchema can work on a schema in state s, otherwise
// ErrSchemaTooOld or ErrCodeTooOld with the numbers.
func CheckCompatible(s State, codeSchema int64) error {
	switch {
	case s.Version < codeSchema:
		return fmt.Errorf("%w: it is at %d, expected %d or newer", ErrSchemaTooOld, s.Version, codeSchema)
	case s.MinCodeSchema > codeSchema:
		return fmt.Errorf("%w: the schema asks for code of schema %d or newer, this is %d", ErrCodeTooOld, s.MinCodeSchema, codeSchema)
	}
	return nil
}

// SchemaCompatible returns a check for package health: the database answers, with a schema that supports code of codeSchema.
func SchemaCompatible(db *sql.DB, codeSchema int64) func(context.Context) error {
	return func(ctx context.Context) error {
		s, err := ReadState(ctx, db)
		if err != nil {
			return err
		}
		return CheckCompatible(s, codeSchema)
	}
}
