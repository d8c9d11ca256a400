package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Options configure how migrations are run. The zero value is usable.
type Options struct {
	// Progress receives reports of waits and of finished work. Nil: no reports.
	Progress func(text string)
	// LockWait bounds the wait for another runner. 0: until the context ends.
	LockWait time.Duration
	// StatementLockWait bounds the wait of one statement for a table that is in use. Default 10 s, in whole seconds.
	StatementLockWait time.Duration
	// Retries bounds how often a statement is run again after such a wait timed out. Default 6; negative: never.
	Retries int
	// Repair is the start of the command with which an operator resolves a statement that was interrupted:
	// " --version 3 --statement 2 --done" or "--redo" is put after it.
	Repair string
	// Foreign lists databases that the migrations must not name: those of other services.
	Foreign []string

	// crash, in tests, ends a run at a point as if the program had been killed there.
	crash func(point string, m Migration, s Statement) bool
}

func (o Options) withDefaults() Options {
	if o.StatementLockWait == 0 {
		o.StatementLockWait = 10 * time.Second
	}
	switch {
	case o.Retries == 0:
		o.Retries = 6
	case o.Retries < 0:
		o.Retries = 0
	}
	if o.Repair == "" {
		o.Repair = "resolve"
	}
	return o
}

func (o Options) reportProgress(format string, args ...any) {
	if o.Progress != nil {
		o.Progress(fmt.Sprintf(format, args...))
	}
}

// Report is the result of a run.
type Report struct {
	Applied    []string // files that this run completed, in order
	Statements int      // how many it ran
	State      State    // where the schema is now
	// Warning names a migration of a newer program that is half applied, which this program cannot finish. It is empty for none.
	Warning string
}

// Up applies the migrations of ms that are still to run to the database of db's connections, in order of version.
//
// It holds a lock on one connection of its own, so of two concurrent runners one waits and then finds nothing left. A
// statement that the server refuses ends the run: its *Error names the place and the reason, nothing after it was run, and
// the next run continues from that statement, which may have been corrected. After a crash the next run finds out whether
// the interrupted statement was done: statements that change rows commit with the journal, tables, columns and indexes are
// looked up, and for others the file's "-- verify:" query decides; without one it returns ErrUndecided. Each verify query is
// also tested when its statement runs: it must return no row before and a row after, else ErrUnverified. Other causes:
// ErrChanged, ErrMissing, ErrOutOfOrder, ErrForeign, ErrLockLost. ErrLocked and ErrUnsuitable come without an *Error.
func Up(ctx context.Context, db *sql.DB, ms []Migration, o Options) (Report, error) {
	o = o.withDefaults()
	var r Report
	for {
		again, err := upOnce(ctx, db, ms, o, &r)
		if err != nil {
			return r, err
		}
		if !again {
			break
		}
	}
	var err error
	r.State, err = ReadState(ctx, db)
	return r, err
}

// upOnce runs the remaining migrations on one connection. again is true if the rest needs a fresh one, because a migration
// changed the connection's settings.
func upOnce(ctx context.Context, db *sql.DB, ms []Migration, o Options, r *Report) (again bool, err error) {
	p, err := openLockedConn(ctx, db, o)
	if err != nil {
		return false, err
	}
	defer p.discard()
	if err := checkDatabase(ctx, p); err != nil {
		return false, err
	}
	for _, table := range journalTables {
		if _, err := p.ExecContext(ctx, table); err != nil {
			return false, fmt.Errorf("create the migration journal: %w", err)
		}
	}
	j, err := readJournal(ctx, p)
	if err != nil {
		return false, err
	}
	left, err := j.findPending(ms)
	if err != nil {
		return false, err
	}
	r.Warning = j.describeHalfApplied(Latest(ms))
	if err := checkForeign(left, o.Foreign); err != nil {
		return false, err
	}
	for i, m := range left {
		if err := applyMigration(ctx, p, m, j.statements[m.Version], o, r); err != nil {
			return false, err
		}
		r.Applied = append(r.Applied, m.File)
		if changesSession(m) && i < len(left)-1 {
			return true, nil
		}
	}
	if len(left) == 0 {
		return false, nil
	}
	return false, checkDatabase(ctx, p) // a migration may have made a table without transactions
}

func changesSession(m Migration) bool {
	for _, s := range m.Statements {
		if s.effect.kind == settings || s.parts != nil {
			return true
		}
	}
	return false
}

// errKilledByTest ends a run that a test has killed.
var errKilledByTest = errors.New("killed by a test")

func applyMigration(ctx context.Context, p *lockedConn, m Migration, rows map[int]statementRow, o Options, r *Report) error {
	if err := p.checkLock(ctx); err != nil {
		return m.newError(err)
	}
	if err := recordBegin(ctx, p, m); err != nil {
		return m.newError(fmt.Errorf("write the journal: %w", err))
	}
	started := time.Now()
	for _, s := range m.Statements {
		row, seen := rows[s.Number]
		run, err := runStep(ctx, p, m, s, row, seen, o)
		if err != nil {
			return err
		}
		if run {
			r.Statements++
		}
	}
	if o.crash != nil && o.crash("end", m, Statement{}) {
		return errKilledByTest
	}
	if err := p.checkLock(ctx); err != nil {
		return m.newError(err)
	}
	if err := recordApplied(ctx, p, m.Version); err != nil {
		return m.newError(fmt.Errorf("write the journal: %w", err))
	}
	o.reportProgress("applied %s (%d statements, %s)", m.File, len(m.Statements), time.Since(started).Round(time.Millisecond))
	return nil
}

// Pending returns the migrations that Up would run, after the same checks, without a lock and without changing anything. The
// first may be half applied.
func Pending(ctx context.Context, db *sql.DB, ms []Migration) ([]Migration, error) {
	j, err := readJournal(ctx, db)
	if err != nil {
		return nil, err
	}
	return j.findPending(ms)
}
