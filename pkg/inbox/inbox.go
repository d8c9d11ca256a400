// Package inbox makes the effect of an event happen once although the event may be delivered more than once: the handler
// records the event's id in the same transaction as its effect, and does nothing if the id is recorded already.
package inbox

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Schema creates the table. A service copies it into one of its migrations; a change to it here is a new migration there.
const Schema = `CREATE TABLE pgo_inbox (
  consumer VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  event_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  received_at DATETIME(6) NOT NULL,
  duplicates INT UNSIGNED NOT NULL DEFAULT 0,
  PRIMARY KEY (consumer, event_id),
  KEY pgo_inbox_age (consumer, received_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci`

// Execer is a transaction: *sql.Tx, or the Statement.ConnPool of a GORM transaction.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// RecordOnce records that consumer (a queue's name, at most 100 ASCII characters) received the event, and reports whether
// this is the first time. tx must be the transaction of the effect: a rollback also removes the record. Call it first in the
// transaction, so that later reads are at least as new as the effect of an earlier delivery.
//
// While another transaction that recorded the same event is open, RecordOnce waits for it: then it returns false if that one
// was committed, true if it was rolled back. It may return an error that a new transaction avoids: the lock wait timeout, or
// a deadlock between several that waited for the one that was rolled back.
func RecordOnce(ctx context.Context, tx Execer, consumer, eventID string) (first bool, err error) {
	// Not INSERT IGNORE, which would also truncate and insert a consumer or an id that is too long. Counting up makes the affected
	// rows 2 for a known event, whether or not the connection counts found rows.
	res, err := tx.ExecContext(ctx, `INSERT INTO pgo_inbox (consumer, event_id, received_at) VALUES (?, ?, UTC_TIMESTAMP(6))
		ON DUPLICATE KEY UPDATE duplicates = duplicates + 1`, consumer, eventID)
	if err != nil {
		return false, fmt.Errorf("record event %s for %s: %w", eventID, consumer, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("record event %s for %s: %w", eventID, consumer, err)
	}
	return n == 1, nil
}

// maxPruneBatch bounds how many rows one transaction of Prune deletes.
const maxPruneBatch = 500

// Prune deletes the events that consumer received longer ago than keep, in batches, and returns how many. An event that is
// delivered again after that has its effect again, so keep must be longer than dead letters may wait for their replay; 30
// days is a good value. An error does not undo the batches before it.
func Prune(ctx context.Context, db *sql.DB, consumer string, keep time.Duration) (int64, error) {
	var total int64
	for {
		n, err := pruneBatch(ctx, db, consumer, keep)
		if err != nil {
			return total, fmt.Errorf("prune the inbox of %s: %w", consumer, err)
		}
		total += n
		if n < maxPruneBatch {
			return total, nil
		}
	}
}

// pruneBatch deletes one batch, row by row: a DELETE of many rows may become a scan, which waits for transactions that record
// new events.
func pruneBatch(ctx context.Context, db *sql.DB, consumer string, keep time.Duration) (int64, error) {
	ids, err := findReceivedBefore(ctx, db, consumer, keep)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	for _, id := range ids {
		if _, err := tx.ExecContext(ctx, `DELETE FROM pgo_inbox WHERE consumer = ? AND event_id = ?`, consumer, id); err != nil {
			return 0, err
		}
	}
	return int64(len(ids)), tx.Commit()
}

func findReceivedBefore(ctx context.Context, db *sql.DB, consumer string, keep time.Duration) ([]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT event_id FROM pgo_inbox FORCE INDEX (pgo_inbox_age)
		WHERE consumer = ? AND received_at < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND ORDER BY received_at LIMIT ?`,
		consumer, keep.Microseconds(), maxPruneBatch)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
