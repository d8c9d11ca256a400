package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-sql-driver/mysql"
)

// runStep brings one statement to done, whatever its journal row. run is false if nothing had to run.
func runStep(ctx context.Context, p *lockedConn, m Migration, s Statement, row statementRow, seen bool, o Options) (run bool, err error) {
	// Before each statement: a runner that lost its lock must not meet another one.
	if err := p.checkLock(ctx); err != nil {
		return false, m.newErrorAt(s, err)
	}
	if seen && row.done {
		if s.effect.kind != settings {
			return false, nil
		}
		if _, err := p.ExecContext(ctx, s.SQL); err != nil {
			return false, m.newErrorAt(s, err)
		}
		return true, nil
	}
	if seen {
		settled, err := resolveInterrupted(ctx, p, m, s, row, o)
		if settled || err != nil {
			return false, err
		}
	}
	if err := checkNotVerified(ctx, p, s); err != nil {
		return false, m.newErrorAt(s, errors.Join(err, forgetBegin(ctx, p, m.Version)))
	}
	if err := recordIntent(ctx, p, m.Version, s); err != nil {
		return false, m.newErrorAt(s, fmt.Errorf("write the journal: %w", err))
	}
	if o.crash != nil && o.crash("intent", m, s) {
		return false, errKilledByTest
	}
	err = runWithRetries(ctx, p, m, s, o, func() error {
		if s.effect.kind == rows {
			return runWithJournal(ctx, p, m, s, o)
		}
		return runThenJournal(ctx, p, m, s, o)
	})
	if errors.Is(err, errKilledByTest) {
		return true, err
	}
	if err != nil {
		return true, m.newErrorAt(s, clearRefused(ctx, p, m, s, err))
	}
	return true, nil
}

// runWithJournal runs a statement that changes rows in one transaction with its journal row.
func runWithJournal(ctx context.Context, p *lockedConn, m Migration, s Statement, o Options) error {
	tx, err := p.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := execStatement(ctx, tx, s); err != nil {
		return err
	}
	if o.crash != nil && o.crash("exec", m, s) {
		return errKilledByTest
	}
	if err := checkVerified(ctx, tx, s); err != nil {
		return err
	}
	if err := recordDone(ctx, tx, m.Version, s); err != nil {
		return err
	}
	return tx.Commit()
}

// runThenJournal runs a statement that commits by itself, and records it in the journal afterwards.
func runThenJournal(ctx context.Context, p *lockedConn, m Migration, s Statement, o Options) error {
	if err := execStatement(ctx, p, s); err != nil {
		return err
	}
	if o.crash != nil && o.crash("exec", m, s) {
		return errKilledByTest
	}
	err := checkVerified(ctx, p, s)
	switch {
	case errors.Is(err, ErrUnverified):
		err = errors.Join(err, recordUnverified(ctx, p, m.Version, s))
	case err == nil:
		err = recordDone(ctx, p, m.Version, s)
	}
	if err != nil {
		return &ranError{err}
	}
	return nil
}

// ranError is an error after the server had run a statement, or a part of one, that it cannot roll back. The statement must not be
// run again before it is known whether it was done.
type ranError struct{ err error }

func (e *ranError) Error() string { return e.err.Error() }
func (e *ranError) Unwrap() error { return e.err }

func hasRun(err error) bool {
	var ran *ranError
	return errors.As(err, &ran)
}

// execStatement runs a statement, or the statements of a block. Temporary tables of a block end with it, so that what follows
// does not depend on them.
func execStatement(ctx context.Context, x execer, s Statement) error {
	if s.parts == nil {
		_, err := x.ExecContext(ctx, s.SQL)
		if s.effect.kind == unknown && mayBeHalfDone(s.SQL, err) {
			return &ranError{fmt.Errorf("%w; the server may have done a part of it before", err)}
		}
		return err
	}
	temporary := temporaryTables(s.parts)
	if err := dropTemporary(ctx, x, temporary); err != nil { // of an earlier try
		return err
	}
	for i, part := range s.parts {
		_, err := x.ExecContext(ctx, part)
		if err == nil {
			continue
		}
		err = fmt.Errorf("part %d of the block (%s): %w", i+1, shorten(part), err)
		if i > 0 && s.effect.kind != rows {
			return &ranError{fmt.Errorf("%w; the parts before it were run", err)}
		}
		return err
	}
	return dropTemporary(ctx, x, temporary)
}

func dropTemporary(ctx context.Context, x execer, names []string) error {
	for _, name := range names {
		if _, err := x.ExecContext(ctx, "DROP TEMPORARY TABLE IF EXISTS "+name); err != nil {
			return err
		}
	}
	return nil
}

// checkNotVerified returns ErrUnverified if the verify query returns a row before the statement has run: it would report any
// interrupted statement as done.
func checkNotVerified(ctx context.Context, q querier, s Statement) error {
	if s.Verify == "" {
		return nil
	}
	found, err := isVerified(ctx, q, s)
	if err == nil && found {
		err = fmt.Errorf("%w: the query returns a row before the statement was run, so it cannot show whether it was done; correct the query: %s", ErrUnverified, shorten(s.Verify))
	}
	return err
}

// checkVerified returns ErrUnverified if the verify query returns no row after the statement has run.
func checkVerified(ctx context.Context, q querier, s Statement) error {
	if s.Verify == "" {
		return nil
	}
	found, err := isVerified(ctx, q, s)
	if err == nil && !found {
		err = fmt.Errorf("%w: the server has run the statement, and the query returns no row; correct the query and start again: %s", ErrUnverified, shorten(s.Verify))
	}
	return err
}

// clearRefused clears the intent of a statement that the server refused, which was certainly not done. If the connection
// failed instead, or the server has run a part of it, the intent stays and the next run finds out.
func clearRefused(ctx context.Context, p *lockedConn, m Migration, s Statement, cause error) error {
	var refusal *mysql.MySQLError
	switch {
	case hasRun(cause):
		return cause
	case !errors.Is(cause, ErrUnverified) && !errors.As(cause, &refusal):
		return fmt.Errorf("it was cut off, and the next run finds out whether it was done: %w", cause)
	}
	err := clearIntent(ctx, p, m.Version, s.Number)
	if err == nil {
		err = forgetBegin(ctx, p, m.Version)
	}
	if err != nil {
		return fmt.Errorf("%w (and the journal could not be written: %w)", cause, err)
	}
	return cause
}

// runWithRetries runs one statement again if its wait for a lock timed out or it was chosen as a deadlock's victim.
func runWithRetries(ctx context.Context, p *lockedConn, m Migration, s Statement, o Options, run func() error) error {
	for try := 1; ; try++ {
		err := run()
		if !serverError(err, erLockWaitTimeout, erDeadlock) || hasRun(err) || ctx.Err() != nil {
			return err
		}
		by := describeBlockers(ctx, p)
		if try > o.Retries {
			return fmt.Errorf("%w; given up after %d tries of %s; in the way: %s", err, try, o.StatementLockWait.Round(time.Second), by)
		}
		o.reportProgress("statement %d of %s waits for a lock, try %d of %d; in the way: %s", s.Number, m.File, try, o.Retries+1, by)
		if err := p.checkLock(ctx); err != nil {
			return err
		}
	}
}

// resolveInterrupted decides about a statement that an earlier run began. It returns true if the statement is done.
func resolveInterrupted(ctx context.Context, p *lockedConn, m Migration, s Statement, row statementRow, o Options) (bool, error) {
	repair := fmt.Sprintf("look at the database and then say so: `%s --version %d --statement %d --done` or the same with --redo", o.Repair, m.Version, s.Number)
	isUnverified := row.hash == unverifiedHash(s)
	if row.hash != s.Hash && !isUnverified {
		return false, m.newErrorAt(s, fmt.Errorf("%w: an earlier run was interrupted in it, and its text has changed since; put the text back, or %s", ErrUndecided, repair))
	}
	isDone, known, err := decideDone(ctx, p, s)
	switch {
	case err != nil:
		return false, m.newErrorAt(s, err)
	case !known:
		return false, m.newErrorAt(s, fmt.Errorf("%w: an earlier run was interrupted in it; %s", ErrUndecided, repair))
	case !isDone && isUnverified:
		return false, m.newErrorAt(s, fmt.Errorf("%w: an earlier run has run the statement, and the query still returns no row; correct the query, or %s", ErrUnverified, repair))
	case !isDone:
		o.reportProgress("statement %d of %s was interrupted and not done: running it again", s.Number, m.File)
		return false, nil
	}
	o.reportProgress("statement %d of %s was interrupted after it was done: going on", s.Number, m.File)
	if isUnverified {
		if err := recordIntent(ctx, p, m.Version, s); err != nil {
			return false, m.newErrorAt(s, fmt.Errorf("write the journal: %w", err))
		}
	}
	if err := recordDone(ctx, p, m.Version, s); err != nil {
		return false, m.newErrorAt(s, err)
	}
	return true, nil
}
