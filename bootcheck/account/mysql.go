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

// CreateMySQL creates the service's database and an account that may read and write rows in it and nothing else. db is an
// administrator's pool without a database.
func CreateMySQL(ctx context.Context, db *sql.DB, addr string, s Service) error {
	if err := CheckName(s.Name); err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("MySQL account of %s: %w", s.Name, err)
	}
	defer conn.Close()
	m := mysqlAccount{conn: conn, service: s}
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"create the database", func(ctx context.Context) error {
			return m.exec(ctx, "CREATE DATABASE IF NOT EXISTS `"+DatabaseName(s.Name)+"` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
		}},
		{"create the account", func(ctx context.Context) error {
			return m.exec(ctx, "CREATE USER IF NOT EXISTS '"+s.Name+"'@'%' IDENTIFIED BY ?", s.MySQLPassword)
		}},
		{"set its password", func(ctx context.Context) error { return m.setPassword(ctx, addr) }},
		{"grant its rights", m.grantRights},
	} {
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("MySQL account of %s: %s: %w", s.Name, step.name, err)
		}
	}
	return nil
}

type mysqlAccount struct {
	conn    *sql.Conn
	service Service
}

func (m mysqlAccount) exec(ctx context.Context, query string, args ...any) error {
	_, err := m.conn.ExecContext(ctx, query, args...)
	return err
}

// setPassword sets the password unless the account already accepts it.
func (m mysqlAccount) setPassword(ctx context.Context, addr string) error {
	own, err := server.OpenMySQL(server.Access{Addr: addr, Username: m.service.Name, Password: m.service.MySQLPassword}, "")
	if err != nil {
		return err
	}
	defer own.Close()
	err = own.PingContext(ctx)
	var serverErr *mysql.MySQLError
	if err == nil || !errors.As(err, &serverErr) {
		return err
	}
	return m.exec(ctx, "ALTER USER '"+m.service.Name+"'@'%' IDENTIFIED BY ? ACCOUNT UNLOCK", m.service.MySQLPassword)
}

// grantRights revokes all rights if the account has unexpected ones, and grants its rights.
func (m mysqlAccount) grantRights(ctx context.Context) error {
	// In a grant an underscore matches any character, unless partial revokes are on.
	pattern := strings.ReplaceAll(DatabaseName(m.service.Name), "_", `\_`)
	var name, partial string
	err := m.conn.QueryRowContext(ctx, "SHOW GLOBAL VARIABLES LIKE 'partial_revokes'").Scan(&name, &partial)
	switch {
	case err == nil && partial == "ON":
		pattern = DatabaseName(m.service.Name)
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return err
	}
	granted, unexpected, err := m.readRights(ctx, pattern)
	if err != nil {
		return err
	}
	if unexpected {
		if err := m.exec(ctx, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM '"+m.service.Name+"'@'%'"); err != nil {
			return err
		}
	}
	if granted && !unexpected {
		return nil
	}
	return m.exec(ctx, "GRANT SELECT, INSERT, UPDATE, DELETE ON `"+pattern+"`.* TO '"+m.service.Name+"'@'%'")
}

// usageGrant matches the line of SHOW GRANTS for an account without rights, on MySQL and MariaDB.
var usageGrant = regexp.MustCompile("^GRANT USAGE ON \\*\\.\\* TO [`'][a-z0-9]+[`']@[`']%[`']( IDENTIFIED BY PASSWORD '[^']*')?$")

// readRights reports whether the account has its rights and whether it has unexpected ones.
func (m mysqlAccount) readRights(ctx context.Context, pattern string) (granted, unexpected bool, err error) {
	rows, err := m.conn.QueryContext(ctx, "SHOW GRANTS FOR '"+m.service.Name+"'@'%'")
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
			granted = true
		case !usageGrant.MatchString(line):
			unexpected = true
		}
	}
	return granted, unexpected, rows.Err()
}
