// Package account creates databases and least-privilege accounts for services on MySQL, Redis and RabbitMQ. Every function
// is idempotent: it corrects passwords and rights of an account that exists.
package account

import (
	"fmt"
	"regexp"
	"slices"
)

// Service names a service and holds the passwords of its accounts.
type Service struct {
	Name                                           string
	MySQLPassword, RedisPassword, RabbitMQPassword string
}

// validName matches names that are safe in SQL identifiers, ACL rules and regular expressions.
var validName = regexp.MustCompile(`^[a-z][a-z0-9]{0,23}$`)

var reservedNames = []string{"root", "mysql", "mariadb", "sys", "pgo", "default", "guest", "admin", "amq", "public", "none", "null", "bootcheck", Monitor}

// CheckName returns an error if a service may not have this name.
func CheckName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("service name %q: expected up to 24 lowercase letters and digits, starting with a letter", name)
	}
	if slices.Contains(reservedNames, name) {
		return fmt.Errorf("service name %q is reserved for a server's own accounts", name)
	}
	return nil
}

// DatabaseName returns the name of a service's database.
func DatabaseName(service string) string { return "pgo_" + service }
