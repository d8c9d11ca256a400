// Package problem is the one error type that a caller sees: an RFC 9457 problem with a stable code.
//
// The domain returns it, adapters wrap it, and the HTTP edge writes it. Any other error is an internal one:
// it is logged whole and shown as nothing but "internal".
package problem

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Error is something that a caller may be told. Two Errors are the same for errors.Is when their codes are.
type Error struct {
	Status     int           // an HTTP status, 400 or above
	Code       string        // stable, snake_case: what programs switch on
	Detail     string        // one sentence for people
	Fields     []Field       // what is wrong with which field, for 422
	RetryAfter time.Duration // when to try again, 0 for unsaid
	cause      error
}

// Field is one thing wrong with the request's content.
type Field struct {
	Field   string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// ContentType of a problem body.
const ContentType = "application/problem+json"

// Body is the problem as it is sent. Status and code never differ from the Error's.
type Body struct {
	Type      string  `json:"type" example:"about:blank"`
	Title     string  `json:"title" example:"Unprocessable Entity"`
	Status    int     `json:"status" example:"422"`
	Detail    string  `json:"detail,omitempty" example:"The request's content is not valid."`
	Instance  string  `json:"instance" example:"/api/v1/auth/register"`
	Code      string  `json:"code" example:"validation_failed"`
	RequestID string  `json:"request_id"`
	TraceID   string  `json:"trace_id"`
	Errors    []Field `json:"errors,omitempty"`
}

func (e *Error) Error() string {
	s := e.Code
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	for _, f := range e.Fields {
		s += fmt.Sprintf(" [%s: %s]", f.Field, f.Code)
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Unwrap returns what Because was given.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is a problem with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// WithCause returns a copy of e that wraps cause. The cause is for logs, never for the caller.
func (e *Error) WithCause(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// WithRetryAfter returns a copy of e that asks the caller to wait for d.
func (e *Error) WithRetryAfter(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// New returns a problem. Detail is shown to the caller.
func New(status int, code, detail string) *Error {
	return &Error{Status: status, Code: code, Detail: detail}
}

// Invalid returns 422 validation_failed with what is wrong with each field, nil when nothing is.
func Invalid(fields ...Field) error {
	if len(fields) == 0 {
		return nil
	}
	return &Error{Status: http.StatusUnprocessableEntity, Code: CodeValidationFailed, Detail: "The request's content is not valid.", Fields: fields}
}

// Codes that every service uses.
const (
	CodeValidationFailed = "validation_failed"
	CodeUnauthenticated  = "unauthenticated"
	CodeForbidden        = "forbidden"
	CodeNotFound         = "not_found"
	CodeInternal         = "internal"
	CodeUnavailable      = "unavailable"
)

// NotFound is for what does not exist and for what the caller may not know of.
func NotFound() *Error {
	return New(http.StatusNotFound, CodeNotFound, "There is nothing here, or nothing that you may see.")
}

// Unauthenticated is for a missing, bad, expired or revoked token.
func Unauthenticated(detail string) *Error {
	return New(http.StatusUnauthorized, CodeUnauthenticated, detail)
}

// Forbidden is for a caller whose role does not suffice.
func Forbidden() *Error {
	return New(http.StatusForbidden, CodeForbidden, "Your role does not allow this.")
}

// PreconditionFailed is for an If-Match that does not name the current version.
func PreconditionFailed() *Error {
	return New(http.StatusPreconditionFailed, "precondition_failed", "The resource has changed since you read it. Read it again.")
}

// Unavailable is for something this service needs and cannot reach now.
func Unavailable() *Error {
	return New(http.StatusServiceUnavailable, CodeUnavailable, "This cannot be done right now. Try again soon.").WithRetryAfter(time.Second)
}

// FromError returns the problem that err is or wraps; anything else becomes 500 internal that wraps err.
func FromError(err error) *Error {
	if p, ok := errors.AsType[*Error](err); ok {
		return p
	}
	return New(http.StatusInternalServerError, CodeInternal, "Something went wrong on our side.").WithCause(err)
}

// Body returns e as it is sent in answer to a request for instance.
func (e *Error) Body(instance, requestID, traceID string) Body {
	return Body{
		Type: "about:blank", Title: http.StatusText(e.Status), Status: e.Status, Detail: e.Detail,
		Instance: instance, Code: e.Code, RequestID: requestID, TraceID: traceID, Errors: e.Fields,
	}
}
