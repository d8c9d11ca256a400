package localserver

import (
	"errors"
	"fmt"
	"strings"
)

// The administrator's account is set up in the same way wherever a server runs; these functions are for callers that run
// a server without Prepare.

// MySQLAccounts returns an init file that makes AdminUser the administrator, with this password. It leaves root of the
// machine itself alone: an image's first start still needs it.
func MySQLAccounts(password string) (string, error) {
	if password == "" || strings.ContainsAny(password, "\r\n\x00") {
		return "", errors.New("the MySQL administrator's password is empty or has a line break")
	}
	password = strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(password)
	admin := "'" + AdminUser + "'@'%'"
	// One statement a line: that is the server's format for this file.
	return strings.Join([]string{
		fmt.Sprintf("CREATE USER IF NOT EXISTS %s IDENTIFIED BY '%s';", admin, password),
		fmt.Sprintf("ALTER USER %s IDENTIFIED BY '%s';", admin, password),
		fmt.Sprintf("GRANT ALL PRIVILEGES ON *.* TO %s WITH GRANT OPTION;", admin),
		// Accounts without a password that installers create.
		"DROP USER IF EXISTS ''@'localhost';",
		"DROP USER IF EXISTS 'root'@'127.0.0.1';",
		"DROP USER IF EXISTS 'root'@'::1';",
		"DROP USER IF EXISTS 'root'@'%';",
	}, "\n") + "\n", nil
}

// RedisAccounts returns an ACL file with AdminUser as its administrator. It keeps the other accounts of old.
func RedisAccounts(password, old string) string {
	return Redis{AdminPassword: password}.renderAccounts(old)
}

// RabbitMQDefinitions returns definitions to import at every start, with AdminUser as the administrator.
func RabbitMQDefinitions(password string) (string, error) {
	return RabbitMQ{AdminPassword: password}.renderDefinitions()
}
