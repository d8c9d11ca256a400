package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-sql-driver/mysql"

	"pgo/bootcheck/server"
)

// MySQL makes the service's database and its account, which may read and write rows there and nothing else. db is
// an administrator's pool without a database.
func MySQL(ctx context.Context, db *sql.DB, addr string, s Service) error {
	if err := CheckName(s.Name); err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("MySQL account of %s: %w", s.Name, err)
	}
	defer conn.Close()
	m := mysqlAccount{conn: conn, s: s}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"create the database", func(ctx context.Context) error {
			return m.exec(ctx, "CREATE DATABASE IF NOT EXISTS `"+Database(s.Name)+"` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
		}},
		{"create the account", func(ctx context.Context) error {
			return m.exec(ctx, "CREATE USER IF NOT EXISTS '"+s.Name+"'@'%' IDENTIFIED BY ?", s.MySQLPassword)
		}},
		{"set its password", func(ctx context.Context) error { return m.password(ctx, addr) }},
		{"grant its rights", m.grant},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("MySQL account of %s: %s: %w", s.Name, step.what, err)
		}
	}
	return nil
}

type mysqlAccount struct {
	conn *sql.Conn
	s    Service
}

func (m mysqlAccount) exec(ctx context.Context, query string, args ...any) error {
	_, err := m.conn.ExecContext(ctx, query, args...)
	return err
}

// password sets the password only where the account does not work with it yet.
func (m mysqlAccount) password(ctx context.Context, addr string) error {
	own, err := server.OpenMySQL(server.Access{Addr: addr, Username: m.s.Name, Password: m.s.MySQLPassword}, "")
	if err != nil {
		return err
	}
	defer own.Close()
	err = own.PingContext(ctx)
	var said *mysql.MySQLError
	if err == nil || !errors.As(err, &said) {
		return err
	}
	return m.exec(ctx, "ALTER USER '"+m.s.Name+"'@'%' IDENTIFIED BY ? ACCOUNT UNLOCK", m.s.MySQLPassword)
}

// grant gives the account its rights, and first takes away any other that it has.
func (m mysqlAccount) grant(ctx context.Context) error {
	// In a grant an underscore stands for any character, unless partial revokes are on.
	pattern := strings.ReplaceAll(Database(m.s.Name), "_", `\_`)
	var name, partial string
	err := m.conn.QueryRowContext(ctx, "SHOW GLOBAL VARIABLES LIKE 'partial_revokes'").Scan(&name, &partial)
	switch {
	case err == nil && partial == "ON":
		pattern = Database(m.s.Name)
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return err
	}
	have, more, err := m.rights(ctx, pattern)
	if err != nil {
		return err
	}
	if more {
		if err := m.exec(ctx, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM '"+m.s.Name+"'@'%'"); err != nil {
			return err
		}
	}
	if have && !more {
		return nil
	}
	return m.exec(ctx, "GRANT SELECT, INSERT, UPDATE, DELETE ON `"+pattern+"`.* TO '"+m.s.Name+"'@'%'")
}

// What SHOW GRANTS says, on MySQL and MariaDB, of an account without any right.
var usage = regexp.MustCompile("^GRANT USAGE ON \\*\\.\\* TO [`'][a-z0-9]+[`']@[`']%[`']( IDENTIFIED BY PASSWORD '[^']*')?$")

// rights says whether the account has the rights it should have, and whether it has any other.
func (m mysqlAccount) rights(ctx context.Context, pattern string) (have, more bool, err error) {
	rows, err := m.conn.QueryContext(ctx, "SHOW GRANTS FOR '"+m.s.Name+"'@'%'")
	if err != nil {
		return false, false, err
	}
	defer rows.Close()
	want := "GRANT SELECT, INSERT, UPDATE, DELETE ON `" + pattern + "`.* TO "
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return false, false, err
		}
		switch {
		case strings.HasPrefix(line, want) && !strings.Contains(line, "WITH GRANT OPTION"):
			have = true
		case !usage.MatchString(line):
			more = true
		}
	}
	return have, more, rows.Err()
}
