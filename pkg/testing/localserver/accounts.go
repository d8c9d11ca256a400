package localserver

import (
	"errors"
	"fmt"
	"strings"
)

// What the servers are told about their administrator is the same wherever they run; these give it to whoever runs
// them in another way than Prepare.

// MySQLAccounts is an init file that makes AdminUser the administrator, with this password. root of the machine itself
// is left alone: an image's first start still needs it.
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
		// What installers make for whoever comes without a password.
		"DROP USER IF EXISTS ''@'localhost';",
		"DROP USER IF EXISTS 'root'@'127.0.0.1';",
		"DROP USER IF EXISTS 'root'@'::1';",
		"DROP USER IF EXISTS 'root'@'%';",
	}, "\n") + "\n", nil
}

// RedisAccounts is an ACL file with AdminUser as its administrator; what old says about others is kept.
func RedisAccounts(password, old string) string {
	return Redis{AdminPassword: password}.renderAccounts(old)
}

// RabbitMQDefinitions are definitions to import at every start, with AdminUser as the administrator.
func RabbitMQDefinitions(password string) (string, error) {
	return RabbitMQ{AdminPassword: password}.renderDefinitions()
}
