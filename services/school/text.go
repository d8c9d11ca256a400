package school

import (
	"strings"
	"time"
	_ "time/tzdata" // hosts and containers may have none
	"unicode/utf8"

	"pgo/pkg/text"
)

const (
	maxName     = 100 // characters
	maxGrade    = 20
	maxTimezone = 64
)

// normalizeName returns a name without spaces around it; 1 to 100 characters of any script, on one line, of which at
// least one can be seen.
func normalizeName(s string) (string, bool) { return text.Name(s, maxName) }

// normalizeGrade returns a grade without spaces around it; it may be empty.
func normalizeGrade(s string) (string, bool) {
	grade, good := text.Name(s, maxGrade)
	return grade, good || grade == ""
}

// isTimezone reports whether s is a name of the IANA database. Go takes "Local" and "" as well, and what a host has
// beside the database.
func isTimezone(s string) bool {
	if s == "" || s == "Local" || len(s) > maxTimezone || strings.HasPrefix(s, "posix") || strings.HasPrefix(s, "right/") || strings.Trim(s, timezoneBytes) != "" {
		return false
	}
	_, err := time.LoadLocation(s)
	return err == nil
}

const timezoneBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_+-"

// cutName returns the start of a user's name that fits: what User sends is not refused here.
func cutName(s string) string {
	if utf8.RuneCountInString(s) > maxName {
		return string([]rune(s)[:maxName])
	}
	return s
}
