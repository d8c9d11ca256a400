// Package session sets on each new connection to MySQL or MariaDB what the product relies on. A server's defaults may differ:
// with autocommit=0, for example, what a program has written is lost without an error.
package session

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
)

// Settings holds the settings that differ between programs.
type Settings struct {
	SQLMode   string
	RowWait   time.Duration // for a row's lock, in whole seconds; 0 leaves the server's setting
	TableWait time.Duration // for a table that is in use, in whole seconds; 0 leaves the server's setting
}

// Statements returns the SET statements in the order to run. They need no privilege. Other settings than those of s have one
// value for the whole product.
func (s Settings) Statements() []string {
	set := fmt.Sprintf("SET SESSION autocommit = 1, sql_mode = '%s', time_zone = '+00:00', completion_type = 'NO_CHAIN', "+
		"sql_safe_updates = 0, sql_auto_is_null = 0, sql_select_limit = 18446744073709551615, sql_big_selects = 1, "+
		"foreign_key_checks = 1, unique_checks = 1, default_storage_engine = InnoDB", s.SQLMode)
	for _, wait := range []struct {
		name string
		time time.Duration
	}{{"innodb_lock_wait_timeout", s.RowWait}, {"lock_wait_timeout", s.TableWait}} {
		if wait.time > 0 {
			set += fmt.Sprintf(", %s = %d", wait.name, max(1, int(wait.time/time.Second)))
		}
	}
	// MariaDB executes only the first comment, MySQL only the second. Waits are bounded by the programs.
	set += " /*M!100101 , max_statement_time = 0 */ /*!80000 , max_execution_time = 0 */"
	return []string{set, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE"}
}

// connector opens connections with the settings.
type connector struct {
	inner      driver.Connector
	statements []string
}

// NewConnector returns a connector whose connections have the settings before they are used. The connections of inner must
// implement driver.ExecerContext.
func NewConnector(inner driver.Connector, s Settings) driver.Connector {
	return connector{inner: inner, statements: s.Statements()}
}

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.inner.Connect(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range c.statements {
		execer, ok := conn.(driver.ExecerContext)
		if !ok {
			return nil, errors.Join(errors.New("prepare a connection: the driver cannot execute statements"), conn.Close())
		}
		if _, err := execer.ExecContext(ctx, s, nil); err != nil {
			return nil, errors.Join(fmt.Errorf("prepare a connection: %w", err), conn.Close())
		}
	}
	return conn, nil
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return c.inner.Driver() }
