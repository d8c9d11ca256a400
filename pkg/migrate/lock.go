package migrate

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"pgo/pkg/mysql/session"
)

// lockedConn is the one connection that holds the lock and runs everything. The server releases the lock when the connection
// ends, and a statement that is still running keeps the connection, hence the lock.
type lockedConn struct {
	*sql.Conn
	lock string
}

// lockRound bounds one wait for the lock, in seconds. Progress is reported after each.
const lockRound = 5

// openLockedConn opens a connection, makes its session the same on every server, and takes the lock.
func openLockedConn(ctx context.Context, db *sql.DB, o Options) (*lockedConn, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect for migrations: %w", err)
	}
	p := &lockedConn{Conn: conn}
	if err := p.setSession(ctx, o); err != nil {
		p.discard()
		return nil, err
	}
	if err := p.acquireLock(ctx, o); err != nil {
		p.discard()
		return nil, err
	}
	return p, nil
}

func (p *lockedConn) setSession(ctx context.Context, o Options) error {
	var database sql.NullString
	if err := p.QueryRowContext(ctx, "SELECT DATABASE()").Scan(&database); err != nil {
		return fmt.Errorf("ask for the database: %w", err)
	}
	if !database.Valid {
		return errors.New("migrations need a connection with a database")
	}
	p.lock = lockName(database.String)
	statements := append([]string{"SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci"},
		session.Settings{SQLMode: SQLMode, RowWait: o.StatementLockWait, TableWait: o.StatementLockWait}.Statements()...)
	for _, set := range statements {
		if _, err := p.ExecContext(ctx, set); err != nil {
			return fmt.Errorf("prepare the connection for migrations: %w", err)
		}
	}
	return p.setTimestampDefaults(ctx)
}

// SQLMode is the mode in which migrations are run.
const SQLMode = "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"

// setTimestampDefaults keeps the server from giving TIMESTAMP columns defaults that the file does not ask for. MySQL needs a privilege
// for the setting, so it is left alone where it is right already.
func (p *lockedConn) setTimestampDefaults(ctx context.Context) error {
	var explicit bool
	if err := p.QueryRowContext(ctx, "SELECT @@SESSION.explicit_defaults_for_timestamp").Scan(&explicit); err != nil {
		return fmt.Errorf("ask for explicit_defaults_for_timestamp: %w", err)
	}
	if explicit {
		return nil
	}
	if _, err := p.ExecContext(ctx, "SET SESSION explicit_defaults_for_timestamp = 1"); err != nil {
		return fmt.Errorf("set explicit_defaults_for_timestamp (or set it to ON in the server's configuration): %w", err)
	}
	return nil
}

// lockName binds the lock to the database. The server allows 64 characters.
func lockName(database string) string {
	name := "pgo_schema." + database
	if len(name) > 64 {
		name = "pgo_schema." + hashText(database)[:40]
	}
	return name
}

func (p *lockedConn) acquireLock(ctx context.Context, o Options) error {
	start := time.Now()
	for {
		wait := lockRound
		if o.LockWait > 0 {
			wait = min(wait, max(int((o.LockWait-time.Since(start)).Seconds()), 0))
		}
		if start.Add(time.Second).After(time.Now()) {
			wait = min(wait, 1) // report soon that another runner holds the lock
		}
		var got sql.NullInt64
		if err := p.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", p.lock, wait).Scan(&got); err != nil {
			return fmt.Errorf("take the migration lock: %w", err)
		}
		if got.Int64 == 1 {
			return nil
		}
		holder := p.findHolder(ctx)
		if o.LockWait > 0 && time.Since(start) >= o.LockWait {
			return fmt.Errorf("%w: %s, after %s", ErrLocked, holder.describe(), time.Since(start).Round(time.Second))
		}
		o.reportProgress("waiting for the migration lock %s (%s): held by %s", p.lock, time.Since(start).Round(time.Second), holder.describe())
	}
}

// holder is the connection that holds the lock. The zero value is no connection.
type holder struct {
	id         int64
	user, host string // empty if this account may not see them
}

// describe names the holder, and how to end it: a hung holder keeps the lock for as long as its connection stays open.
func (h holder) describe() string {
	switch {
	case h.id == 0:
		return "no one any more"
	case h.user == "":
		return fmt.Sprintf("connection %d (if it hangs, end it: KILL %d)", h.id, h.id)
	}
	return fmt.Sprintf("connection %d (%s from %s; if it hangs, end it: KILL %d)", h.id, h.user, h.host, h.id)
}

// findHolder returns the holder of the lock, as far as this account may see it.
func (p *lockedConn) findHolder(ctx context.Context) holder {
	var id sql.NullInt64
	if err := p.QueryRowContext(ctx, "SELECT IS_USED_LOCK(?)", p.lock).Scan(&id); err != nil || !id.Valid {
		return holder{}
	}
	h := holder{id: id.Int64}
	_ = p.QueryRowContext(ctx, "SELECT user, host FROM information_schema.processlist WHERE id = ?", h.id).Scan(&h.user, &h.host) // the id is enough
	return h
}

// checkLock returns ErrLockLost unless this connection still holds the lock.
func (p *lockedConn) checkLock(ctx context.Context) error {
	var mine sql.NullBool
	err := p.QueryRowContext(ctx, "SELECT IS_USED_LOCK(?) = CONNECTION_ID()", p.lock).Scan(&mine)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLockLost, err)
	}
	if !mine.Bool {
		return fmt.Errorf("%w: it is held by %s", ErrLockLost, p.findHolder(ctx).describe())
	}
	return nil
}

// discard closes the connection for good: it must not return to the pool with its lock and its settings.
func (p *lockedConn) discard() {
	_ = p.Raw(func(any) error { return driver.ErrBadConn })
	_ = p.Close()
}
