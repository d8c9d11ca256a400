package account

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"

	"github.com/redis/go-redis/v9"
)

// Monitor is the name of the exporters' account. It may read statistics of MySQL and Redis, but no rows, no keys and no
// settings, since those hold passwords. RabbitMQ needs no such account: it publishes its metrics itself.
const Monitor = "monitor"

// monitorGrants match the lines of SHOW GRANTS for the account's rights. MariaDB has another name for REPLICATION CLIENT.
var monitorGrants = []*regexp.Regexp{
	regexp.MustCompile(`^GRANT PROCESS, (REPLICATION CLIENT|BINLOG MONITOR) ON \*\.\* TO `),
	regexp.MustCompile("^GRANT SELECT ON `performance_schema`\\.\\* TO "),
}

// CreateMonitorMySQL creates the account on MySQL. db is an administrator's pool without a database.
func CreateMonitorMySQL(ctx context.Context, db *sql.DB, addr, password string) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("MySQL account of the exporters: %w", err)
	}
	defer conn.Close()
	m := mysqlAccount{conn: conn, service: Service{Name: Monitor, MySQLPassword: password}}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error {
			return m.exec(ctx, "CREATE USER IF NOT EXISTS '"+Monitor+"'@'%' IDENTIFIED BY ?", password)
		},
		func(ctx context.Context) error { return m.setPassword(ctx, addr) },
		m.grantMonitoring,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("MySQL account of the exporters: %w", err)
		}
	}
	return nil
}

// grantMonitoring revokes all rights if the account has unexpected ones, and grants its rights.
func (m mysqlAccount) grantMonitoring(ctx context.Context) error {
	rows, err := m.conn.QueryContext(ctx, "SHOW GRANTS FOR '"+Monitor+"'@'%'")
	if err != nil {
		return err
	}
	defer rows.Close()
	granted, unexpected := map[int]bool{}, false
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err
		}
		known := usageGrant.MatchString(line)
		for i, grant := range monitorGrants {
			if grant.MatchString(line) {
				granted[i], known = true, true
			}
		}
		unexpected = unexpected || !known
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if unexpected {
		if err := m.exec(ctx, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM '"+Monitor+"'@'%'"); err != nil {
			return err
		}
	}
	if len(granted) == len(monitorGrants) && !unexpected {
		return nil
	}
	if err := m.exec(ctx, "GRANT PROCESS, REPLICATION CLIENT ON *.* TO '"+Monitor+"'@'%'"); err != nil {
		return err
	}
	return m.exec(ctx, "GRANT SELECT ON performance_schema.* TO '"+Monitor+"'@'%'")
}

// CreateMonitorRedis creates the account on Redis. saved is false if the server has no aclfile.
func CreateMonitorRedis(ctx context.Context, c *redis.Client, password string) (saved bool, err error) {
	err = c.Do(ctx, "ACL", "SETUSER", Monitor, "reset", "on", ">"+password,
		"+ping", "+info", "+client|setname", "+latency|latest", "+slowlog|len").Err()
	if err != nil {
		return false, fmt.Errorf("create the Redis account of the exporters: %w", err)
	}
	return saveACL(ctx, c)
}
