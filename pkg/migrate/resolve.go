package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Resolution is an operator's decision about a statement that was interrupted.
type Resolution struct {
	Version   int64
	Statement int
	Done      bool // true: it was done, continue after it. false: it was not, run it again
}

// ErrNothingToResolve reports that the statement was not interrupted.
var ErrNothingToResolve = errors.New("nothing to resolve")

// Resolve writes an operator's decision into the journal, under the same lock as Up. ms must contain the migration: its
// statement's present text counts as done.
func Resolve(ctx context.Context, db *sql.DB, ms []Migration, r Resolution, o Options) error {
	s, err := findStatement(ms, r)
	if err != nil {
		return err
	}
	p, err := openLockedConn(ctx, db, o.withDefaults())
	if err != nil {
		return err
	}
	defer p.discard()
	j, err := readJournal(ctx, p)
	if err != nil {
		return err
	}
	row, seen := j.statements[r.Version][r.Statement]
	switch {
	case !seen:
		return fmt.Errorf("%w: statement %d of version %d was not begun", ErrNothingToResolve, r.Statement, r.Version)
	case row.done:
		return fmt.Errorf("%w: statement %d of version %d is done", ErrNothingToResolve, r.Statement, r.Version)
	}
	if !r.Done {
		if err := clearIntent(ctx, p, r.Version, r.Statement); err != nil {
			return fmt.Errorf("write the journal: %w", err)
		}
		return forgetBegin(ctx, p, r.Version)
	}
	if err := recordIntent(ctx, p, r.Version, s); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return recordDone(ctx, p, r.Version, s)
}

func findStatement(ms []Migration, r Resolution) (Statement, error) {
	for _, m := range ms {
		if m.Version == r.Version && r.Statement >= 1 && r.Statement <= len(m.Statements) {
			return m.Statements[r.Statement-1], nil
		}
	}
	return Statement{}, fmt.Errorf("%w: version %d has no statement %d", ErrNothingToResolve, r.Version, r.Statement)
}
