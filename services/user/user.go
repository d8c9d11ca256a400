// Package user is the domain of the User service: people, their sessions, and the rules for changing them.
//
// It knows nothing of HTTP, SQL or AMQP. The small interfaces that it needs are defined here and implemented by the
// adapters in store, token, throttle and mail. Errors that a caller may see are problems.
package user

import (
	"time"

	"pgo/pkg/problem"
	"pgo/pkg/text"
)

// Roles on the platform.
const (
	RoleUser  = "user"
	RoleAdmin = "admin"
)

// Statuses of an account.
const (
	StatusActive   = "active"
	StatusDisabled = "disabled"
)

// User is a person's account.
type User struct {
	ID            string    `json:"id"` // UUIDv7
	Email         string    `json:"email"`
	Name          string    `json:"name"`
	Role          string    `json:"role" enums:"user,admin"`
	Status        string    `json:"status" enums:"active,disabled"`
	EmailVerified bool      `json:"email_verified"`
	Language      string    `json:"language" enums:"en,zh"` // of mails
	Version       int64     `json:"version"`                // grows with each change; the entity tag
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
}

func (u User) isActiveAdmin() bool { return u.Role == RoleAdmin && u.Status == StatusActive }

const (
	maxEmail = 254 // bytes, RFC 5321
	maxName  = 100 // characters
)

// NormalizeName returns a name without surrounding spaces, and whether it is valid: 1 to 100 characters of any script on
// one line, at least one of them visible.
func NormalizeName(s string) (string, bool) { return text.CleanName(s, maxName) }

func newEmailError() problem.Field {
	return problem.Field{Field: "email", Code: "invalid_email", Message: "must be an e-mail address of at most 254 bytes"}
}

func newNameError() problem.Field {
	return problem.Field{Field: "name", Code: "invalid_name", Message: "must have 1 to 100 characters on one line"}
}
