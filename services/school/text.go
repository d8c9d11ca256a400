package school

import (
	"strings"
	"time"
	_ "time/tzdata" // hosts and containers may have none
	"unicode"
	"unicode/utf8"
)

const (
	maxName     = 100 // characters
	maxGrade    = 20
	maxTimezone = 64
)

// normalizeName returns a name without spaces around it; 1 to 100 characters of any script, on one line, of which at
// least one can be seen.
func normalizeName(s string) (string, bool) {
	s = strings.TrimSpace(s)
	return s, isLine(s, maxName) && strings.ContainsFunc(s, visible)
}

// normalizeGrade returns a grade without spaces around it; it may be empty.
func normalizeGrade(s string) (string, bool) {
	s = strings.TrimSpace(s)
	return s, isLine(s, maxGrade) && (s == "" || strings.ContainsFunc(s, visible))
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

func isLine(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, unsafeRune)
}

// unsafeRune reports control characters, line ends, and characters that reorder the text around them, which a name
// could use to look like something else (Unicode TR 36).
func unsafeRune(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 || r == utf8.RuneError
}

// visible reports characters that leave ink on their own.
func visible(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsPunct(r) || unicode.IsSymbol(r)
}
