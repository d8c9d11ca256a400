package migrate

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// blockerQueries find the sessions that may hold the metadata lock that a statement waits for, the surest first. The first needs the
// performance schema (on by default on MySQL, off on MariaDB), the second the PROCESS privilege.
var blockerQueries = []string{
	`SELECT DISTINCT t.processlist_id, t.processlist_user, t.processlist_host, t.processlist_time, COALESCE(t.processlist_info, '')
		FROM performance_schema.metadata_locks l JOIN performance_schema.threads t ON t.thread_id = l.owner_thread_id
		WHERE l.object_schema = DATABASE() AND l.object_type = 'TABLE' AND l.lock_status = 'GRANTED'
			AND t.processlist_id <> CONNECTION_ID() ORDER BY t.processlist_time DESC LIMIT 3`,
	`SELECT p.id, p.user, p.host, p.time, COALESCE(p.info, '')
		FROM information_schema.innodb_trx x JOIN information_schema.processlist p ON p.id = x.trx_mysql_thread_id
		WHERE p.db = DATABASE() AND p.id <> CONNECTION_ID() ORDER BY x.trx_started LIMIT 3`,
}

// describeBlockers names the sessions that may block a statement, as far as this account may see them.
func describeBlockers(ctx context.Context, q querier) string {
	for _, query := range blockerQueries {
		var found []string
		err := queryEach(ctx, q, query, func(scan func(...any) error) error {
			var id, seconds int64
			var user, host sql.NullString
			var info string
			if err := scan(&id, &user, &host, &seconds, &info); err != nil {
				return err
			}
			if info == "" {
				info = "idle in a transaction"
			}
			found = append(found, fmt.Sprintf("connection %d (%s from %s, for %ds: %s)", id, user.String, host.String, seconds, shorten(info)))
			return nil
		})
		if err == nil && len(found) > 0 {
			return strings.Join(found, ", ")
		}
	}
	return "a session that this account cannot see"
}
