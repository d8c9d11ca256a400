package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"pgo/bootcheck/server"
)

// VerifyMySQL logs in as the service does, without TLS, and opens its database. An error tells why the service could not. db is
// an administrator's pool.
func VerifyMySQL(ctx context.Context, db *sql.DB, addr string, s Service) error {
	own, err := server.OpenMySQL(server.Access{Addr: addr, Username: s.Name, Password: s.MySQLPassword}, DatabaseName(s.Name))
	if err != nil {
		return err
	}
	defer own.Close()
	var current string
	err = own.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&current)
	var serverErr *mysql.MySQLError
	switch {
	case errors.As(err, &serverErr):
		return fmt.Errorf("log in to MySQL as %s: %w%s", s.Name, err, explainRefusal(ctx, db, s.Name))
	case err != nil:
		return fmt.Errorf("log in to MySQL as %s: %w", s.Name, err)
	case current != s.Name+"@%":
		return fmt.Errorf("log in to MySQL as %s: the server takes it for '%s', which hides '%s'@'%%': DROP USER '%s'", s.Name,
			strings.Replace(current, "@", "'@'", 1), s.Name, strings.Replace(current, "@", "'@'", 1))
	}
	return nil
}

// explainRefusal returns, with a colon before them, the reasons why a server may refuse an account whose password is right, as far
// as the administrator's account may see them. It is empty if none is known.
func explainRefusal(ctx context.Context, db *sql.DB, service string) string {
	var reasons []string
	var definition string
	err := db.QueryRowContext(ctx, "SHOW CREATE USER '"+service+"'@'%'").Scan(&definition)
	if err == nil && slices.ContainsFunc([]string{"REQUIRE SSL", "REQUIRE X509", "REQUIRE ISSUER", "REQUIRE SUBJECT", "REQUIRE CIPHER"}, func(requires string) bool {
		return strings.Contains(definition, requires)
	}) {
		reasons = append(reasons, fmt.Sprintf("it requires TLS, which services do not use: ALTER USER '%s'@'%%' REQUIRE NONE", service))
	}
	rows, err := db.QueryContext(ctx, "SELECT Host FROM mysql.user WHERE User = ? AND Host <> '%'", service)
	if err == nil {
		defer rows.Close()
		for rows.Next() {
			var host string
			if err := rows.Scan(&host); err != nil {
				break
			}
			reasons = append(reasons, fmt.Sprintf("'%s'@'%s' hides '%s'@'%%': DROP USER '%s'@'%s'", service, host, service, service, host))
		}
		_ = rows.Err() // what was read is enough
	}
	if len(reasons) == 0 {
		return ""
	}
	return ": " + strings.Join(reasons, "; ")
}
