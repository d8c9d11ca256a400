package school

import (
	"strings"
	"time"
	_ "time/tzdata" // hosts and containers may lack a time zone database
	"unicode/utf8"

	"pgo/pkg/text"
)

const (
	maxName     = 100 // characters
	maxGrade    = 20
	maxTimezone = 64
)

// normalizeName returns a name without surrounding spaces, and whether it is valid: 1 to 100 characters of any script on
// one line, at least one of them visible.
func normalizeName(s string) (string, bool) { return text.CleanName(s, maxName) }

// normalizeGrade returns a grade without surrounding spaces, and whether it is valid: empty, or a name of at most 20
// characters.
func normalizeGrade(s string) (string, bool) {
	grade, ok := text.CleanName(s, maxGrade)
	return grade, ok || grade == ""
}

// isTimezone reports whether s is a name of the IANA database. time.LoadLocation also accepts "Local", "" and files that
// a host keeps beside the database, which are rejected here.
func isTimezone(s string) bool {
	if s == "" || s == "Local" || len(s) > maxTimezone || strings.HasPrefix(s, "posix") || strings.HasPrefix(s, "right/") || strings.Trim(s, timezoneBytes) != "" {
		return false
	}
	_, err := time.LoadLocation(s)
	return err == nil
}

const timezoneBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_+-"

// cutName returns at most the first 100 characters of a user's name: an event of User is not rejected for a long name.
func cutName(s string) string {
	if utf8.RuneCountInString(s) > maxName {
		return string([]rune(s)[:maxName])
	}
	return s
}
