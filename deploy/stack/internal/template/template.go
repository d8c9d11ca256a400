// Package template fills in the templates of nginx's and the monitoring's configuration.
package template

import (
	"fmt"
	"regexp"
	"strings"
)

var reference = regexp.MustCompile(`\$\{[A-Z0-9_]+\}`)

// Fill replaces each ${NAME} in text by its value. It leaves names in lowercase alone, which are nginx's own variables. It
// returns an error that starts with the template's name if a value is missing.
func Fill(name, text string, values map[string]string) (string, error) {
	var missing []string
	filled := reference.ReplaceAllStringFunc(text, func(ref string) string {
		value, ok := values[strings.Trim(ref, "${}")]
		if !ok {
			missing = append(missing, ref)
		}
		return value
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("%s: no value for %s", name, strings.Join(missing, ", "))
	}
	return filled, nil
}
