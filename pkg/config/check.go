package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"
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
	c.Expect(!isExample(string(s)), key, "a secret that is not an example")
}

// isExample reports whether a secret consists of little else than words of examples. A random secret may contain such a word.
func isExample(secret string) bool {
	rest := strings.ToLower(secret)
	for _, e := range exampleSecrets {
		rest = strings.ReplaceAll(rest, e, "")
	}
	letters := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, rest)
	return len(rest) < len(secret) && len(letters) < minSecret/2
}

// ExpectAddr records that key does not hold a host and a port to connect to, such as 127.0.0.1:3306.
func (c *Check) ExpectAddr(key, addr, example string) {
	host, port := splitAddr(addr)
	c.Expect(host != "" && port >= 1, key, fmt.Sprintf("an address such as %s, got %q", example, addr))
}

// ExpectListenAddr records that key does not hold a host and a port to listen at. The host may be empty, which means every
// interface, and the port 0, which means a free one.
func (c *Check) ExpectListenAddr(key, addr, example string) {
	_, port := splitAddr(addr)
	c.Expect(port >= 0, key, fmt.Sprintf("an address such as %s, got %q", example, addr))
}

// splitAddr returns the port -1 for an invalid address.
func splitAddr(addr string) (host string, port int) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil || strings.ContainsAny(host, " \t/@") {
		return "", -1
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", -1
	}
	return host, int(n)
}

// Env returns the environment that is being checked: dev, test, staging or prod.
func (c *Check) Env() string { return c.env }
