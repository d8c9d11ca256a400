package account

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"

	"github.com/redis/go-redis/v9"
)

// Monitor is the name of the exporters' account. It sees what MySQL and Redis say about themselves: no row, no key, and
// no setting, since those hold passwords. RabbitMQ needs none: its metrics are a page of its own.
const Monitor = "monitor"

// What SHOW GRANTS says of a Monitor's rights; MariaDB has another name for the second.
var monitorGrants = []*regexp.Regexp{
	regexp.MustCompile(`^GRANT PROCESS, (REPLICATION CLIENT|BINLOG MONITOR) ON \*\.\* TO `),
	regexp.MustCompile("^GRANT SELECT ON `performance_schema`\\.\\* TO "),
}

// MonitorMySQL makes the account on MySQL. db is an administrator's pool without a database.
func MonitorMySQL(ctx context.Context, db *sql.DB, addr, password string) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("MySQL account of the exporters: %w", err)
	}
	defer conn.Close()
	m := mysqlAccount{conn: conn, s: Service{Name: Monitor, MySQLPassword: password}}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error {
			return m.exec(ctx, "CREATE USER IF NOT EXISTS '"+Monitor+"'@'%' IDENTIFIED BY ?", password)
		},
		func(ctx context.Context) error { return m.password(ctx, addr) },
		m.grantLooking,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("MySQL account of the exporters: %w", err)
		}
	}
	return nil
}

// grantLooking gives the account its rights, and first takes away any other that it has.
func (m mysqlAccount) grantLooking(ctx context.Context) error {
	rows, err := m.conn.QueryContext(ctx, "SHOW GRANTS FOR '"+Monitor+"'@'%'")
	if err != nil {
		return err
	}
	defer rows.Close()
	have, more := map[int]bool{}, false
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err
		}
		known := usage.MatchString(line)
		for i, grant := range monitorGrants {
			if grant.MatchString(line) {
				have[i], known = true, true
			}
		}
		more = more || !known
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if more {
		if err := m.exec(ctx, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM '"+Monitor+"'@'%'"); err != nil {
			return err
		}
	}
	if len(have) == len(monitorGrants) && !more {
		return nil
	}
	if err := m.exec(ctx, "GRANT PROCESS, REPLICATION CLIENT ON *.* TO '"+Monitor+"'@'%'"); err != nil {
		return err
	}
	return m.exec(ctx, "GRANT SELECT ON performance_schema.* TO '"+Monitor+"'@'%'")
}

// MonitorRedis makes the account on Redis. saved is as Redis says it.
func MonitorRedis(ctx context.Context, c *redis.Client, password string) (saved bool, err error) {
	err = c.Do(ctx, "ACL", "SETUSER", Monitor, "reset", "on", ">"+password,
		"+ping", "+info", "+client|setname", "+latency|latest", "+slowlog|len").Err()
	if err != nil {
		return false, fmt.Errorf("Redis account of the exporters: %w", err)
	}
	return save(ctx, c)
}
