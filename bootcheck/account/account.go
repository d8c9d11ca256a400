// Package account makes the databases and accounts of services: each may do on MySQL, Redis and RabbitMQ what a
// service has to, and nothing else. Everything can be done again at any time; passwords follow the configuration.
package account

import (
	"fmt"
	"regexp"
	"slices"
)

// Service is one service and the passwords of its accounts.
type Service struct {
	Name                                           string
	MySQLPassword, RedisPassword, RabbitMQPassword string
}

// Names go into SQL identifiers, ACL rules and regular expressions.
var validName = regexp.MustCompile(`^[a-z][a-z0-9]{0,23}$`)

var reserved = []string{"root", "mysql", "mariadb", "sys", "pgo", "default", "guest", "admin", "amq", "public", "none", "null", Monitor}

// CheckName says whether a service may have this name.
func CheckName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("service name %q: expected up to 24 small letters and digits, a letter first", name)
	}
	if slices.Contains(reserved, name) {
		return fmt.Errorf("service name %q is taken by a server's own accounts", name)
	}
	return nil
}

// Database returns the name of a service's database.
func Database(service string) string { return "pgo_" + service }
