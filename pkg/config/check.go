package config

import (
	"fmt"
	"strings"
)

// Check collects the findings of a Validator. It keeps only the first one: the program prints one line.
type Check struct {
	env   string
	dir   string
	where origins
	err   *Error
}

// minSecret is the shortest secret that is accepted outside dev and test, in bytes.
const minSecret = 16

// exampleSecrets are parts of secrets that people leave in a copied file.
var exampleSecrets = []string{"changeme", "change-me", "secret", "password", "example", "admin", "test", "default", "123456"}

// Expect records that key does not hold the expected value, unless ok.
func (c *Check) Expect(ok bool, key, expected string) {
	if ok || c.err != nil {
		return
	}
	from, found := c.where[key]
	if !found {
		from = origin{file: c.dir}
	}
	c.err = &Error{File: from.file, Line: from.line, Key: key, Expected: "expected " + expected}
}

// ExpectSecret records that a secret is missing or, outside dev and test, that it is shorter than 16 bytes or looks like an
// example.
func (c *Check) ExpectSecret(key string, s Secret) {
	name := EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "__"))
	c.Expect(s != "", key, fmt.Sprintf("a secret: set %s, or %s_FILE to a file that holds it", name, name))
	if c.env == "dev" || c.env == "test" {
		return
	}
	c.Expect(len(s) >= minSecret, key, fmt.Sprintf("a secret of at least %d bytes", minSecret))
	for _, e := range exampleSecrets {
		c.Expect(!strings.Contains(strings.ToLower(string(s)), e), key, "a secret that is not an example")
	}
}

// Env returns the environment that is being checked: dev, test, staging or prod.
func (c *Check) Env() string { return c.env }
