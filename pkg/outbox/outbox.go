// Package outbox publishes an event exactly when the change that it describes was committed. Append writes the event to a table
// in the change's own transaction; a Relay publishes what is in the table. It guarantees:
//
//   - an event of a committed transaction is published at least once, however often the broker, the database or the service
//     fails meanwhile; one that is published again has the same ID. Nothing of a rolled back transaction is published;
//   - events with the same subject (the aggregate's id) are published in the order in which they were appended, if the
//     transactions lock the aggregate's row before they append; one that cannot be published holds back the later ones of its
//     subject and no others;
//   - of all the relays on one database, one works at a time.
package outbox

import (
	"context"
	"database/sql"
	"fmt"

	"pgo/pkg/event"
)

// Schema creates the table. A service copies it into one of its migrations; a change to it here is a new migration there.
const Schema = `CREATE TABLE pgo_outbox (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  event_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  type VARCHAR(255) NOT NULL,
  subject VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  envelope MEDIUMTEXT NOT NULL,
  created_at DATETIME(6) NOT NULL,
  published_at DATETIME(6) NULL,
  PRIMARY KEY (id),
  UNIQUE KEY pgo_outbox_event (event_id),
  KEY pgo_outbox_pending (published_at, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci`

// Execer is a transaction: *sql.Tx, or the Statement.ConnPool of a GORM transaction.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Append adds an event to the outbox as part of tx, which must have locked the aggregate's row. Call Relay.Notify after the
// commit; otherwise the event waits for the relay's next poll. It returns event.ErrMissing, event.ErrInvalid or
// event.ErrTooLarge for an invalid event, or the database's error.
func Append(ctx context.Context, tx Execer, e event.Event) error {
	envelope, err := e.Marshal()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO pgo_outbox (event_id, type, subject, envelope, created_at) VALUES (?, ?, ?, ?, UTC_TIMESTAMP(6))`,
		e.ID, e.Type, e.Subject, string(envelope))
	if err != nil {
		return fmt.Errorf("append event %s to the outbox: %w", e.Type, err)
	}
	return nil
}
