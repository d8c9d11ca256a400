package processfile

import (
	"fmt"
	"regexp"
	"strings"
)

// variablePattern is the form of the names of environment variables.
var variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expandVariables replaces ${KEY} and ${KEY:-default}; the default applies if KEY is unset or empty. $$ is a dollar sign,
// and a dollar sign before anything else stays.
func expandVariables(s string, vars func(string) (string, bool)) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, "$")
		out.WriteString(before)
		switch {
		case !found:
			return out.String(), nil
		case strings.HasPrefix(rest, "$"):
			out.WriteByte('$')
			s = rest[1:]
		case strings.HasPrefix(rest, "{"):
			inner, after, closed := strings.Cut(rest[1:], "}")
			if !closed {
				return "", fmt.Errorf("${%s has no closing brace", rest[1:])
			}
			value, err := expandVariable(inner, vars)
			if err != nil {
				return "", err
			}
			out.WriteString(value)
			s = after
		default:
			out.WriteByte('$')
			s = rest
		}
	}
}

// expandVariable returns the value of KEY or KEY:-default.
func expandVariable(inner string, vars func(string) (string, bool)) (string, error) {
	name, fallback, optional := strings.Cut(inner, ":-")
	if !variablePattern.MatchString(name) {
		return "", fmt.Errorf("${%s}: expected ${KEY} or ${KEY:-default}", inner)
	}
	value, set := vars(name)
	switch {
	case set && (value != "" || !optional):
		return value, nil
	case optional:
		return fallback, nil
	default:
		return "", fmt.Errorf("${%s} is set neither in the env file nor in the environment", name)
	}
}
