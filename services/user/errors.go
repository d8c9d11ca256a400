package user

import (
	"net/http"

	"pgo/pkg/problem"
)

// Problems that callers can get, besides validation_failed, not_found and precondition_failed.
var (
	ErrEmailTaken          = problem.New(http.StatusConflict, "email_taken", "There is an account with this e-mail address.")
	ErrInvalidCredentials  = problem.New(http.StatusUnauthorized, "invalid_credentials", "The e-mail address or the password is wrong.")
	ErrUserDisabled        = problem.New(http.StatusForbidden, "user_disabled", "This account is disabled.")
	ErrTooManyAttempts     = problem.New(http.StatusTooManyRequests, "too_many_attempts", "There were too many failed attempts. Wait before the next one.")
	ErrInvalidRefreshToken = problem.New(http.StatusUnauthorized, "invalid_refresh_token", "The refresh token is not valid. Sign in again.")
	ErrTokenExpired        = problem.New(http.StatusGone, "token_expired", "This token is used, expired or unknown. Ask for a new one.")
	ErrLastAdmin           = problem.New(http.StatusConflict, "last_admin", "This is the last active admin. Make another one first.")
)

// errWrongPassword replaces ErrInvalidCredentials for a caller who is signed in and gave no address.
var errWrongPassword = problem.New(http.StatusUnauthorized, ErrInvalidCredentials.Code, "The password is wrong.")
