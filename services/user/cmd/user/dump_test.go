package main

import (
	"database/sql"
	"fmt"
	"testing"

	"pgo/pkg/testing/servicetest"
	"pgo/pkg/testing/testkit"
)

// dumpTables returns the rows of the tables, once the mailer has handled all requests, without the times at which the relay
// published events.
func dumpTables(t testing.TB, db *sql.DB) string {
	t.Helper()
	testkit.Eventually(t, "all requested mails", func() error {
		var requested, sent, resets int
		if err := db.QueryRow("SELECT (SELECT COUNT(*) FROM pgo_outbox WHERE type = 'user.mail_requested.v1'), (SELECT COUNT(*) FROM pgo_inbox), (SELECT COUNT(*) FROM reset_requests)").Scan(&requested, &sent, &resets); err != nil {
			return err
		}
		if requested != sent || resets > 0 {
			return fmt.Errorf("%d of %d are sent, %d resets are not handled", sent, requested, resets)
		}
		return nil
	})
	return servicetest.DumpRows(t, db,
		"SELECT * FROM users ORDER BY id", "SELECT * FROM sessions ORDER BY id", "SELECT * FROM refresh_tokens ORDER BY hash",
		"SELECT * FROM mail_tokens ORDER BY hash", "SELECT * FROM mail_requests ORDER BY id", "SELECT id, event_id, type, subject, envelope FROM pgo_outbox ORDER BY id", "SELECT consumer, event_id FROM pgo_inbox ORDER BY event_id",
	)
}
