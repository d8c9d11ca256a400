package user

import (
	_ "embed" // for the list
	"strings"
	"unicode/utf8"

	"github.com/ccojocar/zxcvbn-go"
	"golang.org/x/text/unicode/norm"

	"pgo/pkg/problem"
)

// commonPasswords lists the passwords of 10 and more characters among the most frequent in public leaks, in lower case,
// one a line, sorted. The data comes from zxcvbn-ts (MIT licence, @zxcvbn-ts/language-common 4.1.3).
//
//go:embed common_passwords.txt
var commonPasswords string

const (
	minPassword = 10 // characters
	maxPassword = 128
	minDistinct = 4 // different characters
	// minStrength is the least score of zxcvbn, from 0 to 4. A password of score 0 falls to some hundred thousand guesses, for
	// which the limits on guesses leave more than a year.
	minStrength = 1
	// maxScored is how many characters are scored. The cost of scoring grows faster than their number.
	maxScored = 32
)

// normalizePassword returns the form of a password that is hashed: keyboards and systems differ in how they write the same
// characters (NFKC, as NIST SP 800-63B asks).
func normalizePassword(password string) string { return norm.NFKC.String(password) }

// validatePassword returns the errors of a new password of u under the field's name, none if it is acceptable.
func validatePassword(field, password string, u User) []problem.Field {
	normal := normalizePassword(password)
	n := utf8.RuneCountInString(normal)
	switch {
	case n < minPassword || n > maxPassword || !utf8.ValidString(password):
		return []problem.Field{{Field: field, Code: "invalid_length", Message: "must have 10 to 128 characters"}}
	case strings.Contains("\n"+commonPasswords, "\n"+strings.ToLower(normal)+"\n"):
		return []problem.Field{{Field: field, Code: "common_password", Message: "is among the commonest passwords"}}
	case countDistinct(normal) < minDistinct || !isStrong(normal, u):
		return []problem.Field{{Field: field, Code: "weak_password", Message: "is easy to guess: use several words, and neither your name nor your address"}}
	}
	return nil
}

// isStrong reports whether a password is hard to guess for someone who knows the user's name and address.
func isStrong(password string, u User) bool {
	local, domain, _ := strings.Cut(u.Email, "@")
	words := append(strings.Fields(strings.ToLower(u.Name)), strings.ToLower(u.Name), u.Email, local, domain)
	lower := strings.ToLower(password)
	for _, w := range words {
		if utf8.RuneCountInString(w) >= minPassword/2 {
			lower = strings.ReplaceAll(lower, w, "") // what is known adds nothing, in any script
		}
	}
	if countDistinct(lower) < minDistinct {
		return false
	}
	if runes := []rune(password); len(runes) > maxScored {
		password = string(runes[:maxScored])
	}
	return zxcvbn.PasswordStrength(password, words).Score >= minStrength
}

func countDistinct(s string) int {
	seen := map[rune]struct{}{}
	for _, r := range s {
		seen[r] = struct{}{}
	}
	return len(seen)
}
