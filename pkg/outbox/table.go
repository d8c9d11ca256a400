package outbox

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// table reads and writes the outbox over one connection, which holds the lock.
type table struct {
	conn *sql.Conn
	name string // of the lock
}

// statementTimeout bounds a statement of the relay, so that it gives up a database behind a dead network.
const statementTimeout = 30 * time.Second

type row struct {
	id       uint64
	eventID  string
	typ      string
	subject  string
	envelope []byte
}

// acquireLock takes the relay's lock for this connection or returns errOtherRelayActive. GET_LOCK's locks belong to the
// whole server, so the database's name is part of the lock's.
func (t *table) acquireLock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	var db string
	if err := t.conn.QueryRowContext(ctx, `SELECT DATABASE()`).Scan(&db); err != nil {
		return fmt.Errorf("ask for the database's name: %w", err)
	}
	t.name = lockName(db)
	var got sql.NullInt64 // NULL if the server could not try
	if err := t.conn.QueryRowContext(ctx, `SELECT GET_LOCK(?, 0)`, t.name).Scan(&got); err != nil {
		return fmt.Errorf("take the lock %s: %w", t.name, err)
	}
	if got.Int64 != 1 {
		return errOtherRelayActive
	}
	return nil
}

// lockName returns a name of at most 64 characters, MySQL's limit.
func lockName(db string) string {
	name := "pgo_outbox." + db
	if len(name) > 64 {
		sum := sha256.Sum256([]byte(db))
		return "pgo_outbox." + hex.EncodeToString(sum[:])[:32]
	}
	return name
}

// releaseLock passes the lock to the next relay when this one stops in good order. Otherwise the end of the connection does.
func (t *table) releaseLock() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var released sql.NullInt64
	if err := t.conn.QueryRowContext(ctx, `SELECT RELEASE_LOCK(?)`, t.name).Scan(&released); err != nil {
		// In the pool the connection would keep the lock: end it.
		_ = t.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
}

func (t *table) checkLock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	var mine sql.NullBool
	if err := t.conn.QueryRowContext(ctx, `SELECT IS_USED_LOCK(?) = CONNECTION_ID()`, t.name).Scan(&mine); err != nil {
		return fmt.Errorf("look at the lock %s: %w", t.name, err)
	}
	if !mine.Bool {
		return errors.New("the lock " + t.name + " is lost")
	}
	return nil
}

// readPending returns the oldest unpublished events, except those of some subjects. Ids are assigned before the commit, so
// one with a lower id may appear later: each call reads from the beginning. The query names the index because the server may
// otherwise scan the primary key through all published events.
func (t *table) readPending(ctx context.Context, limit int, without map[string]bool) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	query, args := `SELECT id, event_id, type, subject, envelope FROM pgo_outbox FORCE INDEX (pgo_outbox_pending) WHERE published_at IS NULL`, []any{}
	if len(without) > 0 {
		query += ` AND subject NOT IN (?` + strings.Repeat(", ?", len(without)-1) + `)`
		for subject := range without {
			args = append(args, subject)
		}
	}
	rows, err := t.conn.QueryContext(ctx, query+` ORDER BY id LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []row
	for rows.Next() {
		var e row
		if err := rows.Scan(&e.id, &e.eventID, &e.typ, &e.subject, &e.envelope); err != nil {
			return nil, fmt.Errorf("read the outbox: %w", err)
		}
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	return all, nil
}

// markPublished records that the events with these ids were published.
func (t *table) markPublished(ctx context.Context, ids []any) error {
	if len(ids) == 0 {
		return nil
	}
	// Recorded also while the relay stops: it saves a duplicate.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	// The query names the index because the server may otherwise scan a small table and wait for uncommitted rows.
	if _, err := t.conn.ExecContext(ctx, `UPDATE pgo_outbox FORCE INDEX (PRIMARY) SET published_at = UTC_TIMESTAMP(6) WHERE id IN (?`+strings.Repeat(", ?", len(ids)-1)+`)`, ids...); err != nil {
		return fmt.Errorf("mark events as published: %w", err)
	}
	return nil
}

// maxPruneBatch bounds how many rows pruneBatch deletes.
const maxPruneBatch = 500

// pruneBatch deletes one batch of the events that were published longer ago than keep. It finds them first and deletes them
// one by one: any DELETE of many rows may become a scan, which waits for transactions that append.
func (t *table) pruneBatch(ctx context.Context, keep time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	ids, err := t.findPublishedBefore(ctx, keep)
	if err != nil {
		return fmt.Errorf("find old events: %w", err)
	}
	if len(ids) == 0 {
		return nil
	}
	tx, err := t.conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("delete old events: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, id := range ids {
		if _, err := tx.ExecContext(ctx, `DELETE FROM pgo_outbox WHERE id = ?`, id); err != nil {
			return fmt.Errorf("delete old events: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("delete old events: %w", err)
	}
	return nil
}

func (t *table) findPublishedBefore(ctx context.Context, keep time.Duration) ([]uint64, error) {
	rows, err := t.conn.QueryContext(ctx, `SELECT id FROM pgo_outbox FORCE INDEX (pgo_outbox_pending)
		WHERE published_at < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND ORDER BY published_at LIMIT ?`, keep.Microseconds(), maxPruneBatch)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var ids []uint64
	for rows.Next() {
		var id uint64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
