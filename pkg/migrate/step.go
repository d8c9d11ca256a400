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
	kind := effectOf(s.SQL).kind
	if seen && row.done {
		if kind != session {
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
	if err := recordIntent(ctx, p, m.Version, s); err != nil {
		return false, m.newErrorAt(s, fmt.Errorf("write the journal: %w", err))
	}
	if o.crash != nil && o.crash("intent", m, s) {
		return false, errKilledByTest
	}
	err = runWithRetries(ctx, p, m, s, o, func() error {
		if kind == rows {
			return runWithJournal(ctx, p, m, s, o)
		}
		if _, err := p.ExecContext(ctx, s.SQL); err != nil {
			return err
		}
		if o.crash != nil && o.crash("exec", m, s) {
			return errKilledByTest
		}
		return recordDone(ctx, p, m.Version, s)
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
	if _, err := tx.ExecContext(ctx, s.SQL); err != nil {
		return err
	}
	if o.crash != nil && o.crash("exec", m, s) {
		return errKilledByTest
	}
	if err := recordDone(ctx, tx, m.Version, s); err != nil {
		return err
	}
	return tx.Commit()
}

// clearRefused clears the intent of a statement that the server refused, which was certainly not done. If the connection
// failed instead, the intent stays and the next run finds out.
func clearRefused(ctx context.Context, p *lockedConn, m Migration, s Statement, cause error) error {
	var refusal *mysql.MySQLError
	if !errors.As(cause, &refusal) {
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
		if !serverError(err, erLockWaitTimeout, erDeadlock) || ctx.Err() != nil {
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
	if row.hash != s.Hash {
		return false, m.newErrorAt(s, fmt.Errorf("%w: an earlier run was interrupted in it, and its text has changed since; put the text back, or %s", ErrUndecided, repair))
	}
	isDone, known, err := decideDone(ctx, p, s)
	switch {
	case err != nil:
		return false, m.newErrorAt(s, err)
	case !known:
		return false, m.newErrorAt(s, fmt.Errorf("%w: an earlier run was interrupted in it; %s", ErrUndecided, repair))
	case !isDone:
		o.reportProgress("statement %d of %s was interrupted and not done: running it again", s.Number, m.File)
		return false, nil
	}
	o.reportProgress("statement %d of %s was interrupted after it was done: going on", s.Number, m.File)
	if err := recordDone(ctx, p, m.Version, s); err != nil {
		return false, m.newErrorAt(s, err)
	}
	return true, nil
}
