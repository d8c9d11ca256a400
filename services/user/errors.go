package user

import "pgo/pkg/problem"

// Problems that callers can get, besides validation_failed, not_found and precondition_failed.
var (
	ErrEmailTaken          = problem.New(problem.KindConflict, "email_taken", "There is an account with this e-mail address.")
	ErrInvalidCredentials  = problem.New(problem.KindUnauthenticated, "invalid_credentials", "The e-mail address or the password is wrong.")
	ErrUserDisabled        = problem.New(problem.KindForbidden, "user_disabled", "This account is disabled.")
	ErrTooManyAttempts     = problem.New(problem.KindRateLimited, "too_many_attempts", "There were too many failed attempts. Wait before the next one.")
	ErrInvalidRefreshToken = problem.New(problem.KindUnauthenticated, "invalid_refresh_token", "The refresh token is not valid. Sign in again.")
	ErrTokenExpired        = problem.New(problem.KindGone, "token_expired", "This token is used, expired or unknown. Ask for a new one.")
	ErrLastAdmin           = problem.New(problem.KindConflict, "last_admin", "This is the last active admin. Make another one first.")
)

// errWrongPassword replaces ErrInvalidCredentials for a caller who is signed in and gave no address.
var errWrongPassword = problem.New(problem.KindUnauthenticated, ErrInvalidCredentials.Code, "The password is wrong.")
