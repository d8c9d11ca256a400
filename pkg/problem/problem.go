// Package problem is the one error type that a caller sees: a kind, a stable code and a sentence for people.
//
// The domain returns it and adapters wrap it. It knows nothing of HTTP: package httpx maps its kind to a status and writes
// it as an RFC 9457 body. Any other error is an internal one: it is logged whole and shown as nothing but "internal".
package problem

import (
	"errors"
	"fmt"
	"time"
)

// Kind classifies problems by what the caller can do about them.
type Kind string

// Kinds of problems. The zero Kind counts as KindInternal.
const (
	KindInternal           Kind = "internal"
	KindMalformed          Kind = "malformed"           // the request cannot be read
	KindInvalid            Kind = "invalid"             // the request can be read, and some of its content is not allowed
	KindUnauthenticated    Kind = "unauthenticated"     // the caller is not known
	KindForbidden          Kind = "forbidden"           // the caller is known and may not do this
	KindNotFound           Kind = "not_found"           // nothing is there, or nothing that the caller may see
	KindConflict           Kind = "conflict"            // the present state does not allow this
	KindGone               Kind = "gone"                // it existed and does not any more
	KindPreconditionFailed Kind = "precondition_failed" // the entity has changed since the caller read it
	KindTooLarge           Kind = "too_large"           // the request has too many bytes
	KindUnsupportedMethod  Kind = "unsupported_method"  // the resource exists and does not support the method
	KindUnsupportedType    Kind = "unsupported_type"    // the request's content type is not supported
	KindRateLimited        Kind = "rate_limited"        // the caller tried too often
	KindUnavailable        Kind = "unavailable"         // something that this service needs cannot be reached now
)

// Error is a problem that a caller may be shown. errors.Is holds for two Errors with the same code.
type Error struct {
	Kind       Kind
	Code       string        // stable, snake_case: programs switch on it
	Detail     string        // one sentence for people
	Fields     []Field       // each invalid field with its reason, for KindInvalid
	RetryAfter time.Duration // after which the caller may try again; 0 if unknown
	cause      error
}

// Field describes one invalid field of a request.
type Field struct {
	Field   string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// ContentType is the media type of a Body.
const ContentType = "application/problem+json"

// Body is a problem as it is sent (RFC 9457).
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

// Unwrap returns the cause that WithCause added.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is a problem with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// WithCause returns a copy of e that wraps cause. The cause appears in logs and never in an answer.
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

// New returns a problem. The caller is shown detail.
func New(kind Kind, code, detail string) *Error {
	return &Error{Kind: kind, Code: code, Detail: detail}
}

// Invalid returns a validation_failed problem with the invalid fields, and nil without any.
func Invalid(fields ...Field) error {
	if len(fields) == 0 {
		return nil
	}
	return &Error{Kind: KindInvalid, Code: CodeValidationFailed, Detail: "The request's content is not valid.", Fields: fields}
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

// NotFound returns the problem of an entity that does not exist or that the caller may not know of.
func NotFound() *Error {
	return New(KindNotFound, CodeNotFound, "There is nothing here, or nothing that you may see.")
}

// Unauthenticated returns the problem of a missing, bad, expired or revoked token.
func Unauthenticated(detail string) *Error {
	return New(KindUnauthenticated, CodeUnauthenticated, detail)
}

// Forbidden returns the problem of a caller whose role does not suffice.
func Forbidden() *Error {
	return New(KindForbidden, CodeForbidden, "Your role does not allow this.")
}

// PreconditionFailed returns the problem of a condition that does not hold for the current version.
func PreconditionFailed() *Error {
	return New(KindPreconditionFailed, "precondition_failed", "The resource has changed since you read it. Read it again.")
}

// Unavailable returns the problem of a dependency that this service cannot reach now.
func Unavailable() *Error {
	return New(KindUnavailable, CodeUnavailable, "This cannot be done right now. Try again soon.").WithRetryAfter(time.Second)
}

// FromError returns the problem that err is or wraps. Any other error becomes an internal problem that wraps err.
func FromError(err error) *Error {
	if p, ok := errors.AsType[*Error](err); ok {
		return p
	}
	return New(KindInternal, CodeInternal, "Something went wrong on our side.").WithCause(err)
}
