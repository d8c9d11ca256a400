// Package etag is conditional requests on resources that have a version number (RFC 9110, section 13).
package etag

import (
	"net/http"
	"strconv"
	"strings"

	"pgo/pkg/problem"
)

// Format returns the strong entity tag of a version.
func Format(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// Condition is an If-Match header. The zero Condition holds for every version.
type Condition struct {
	header string
	set    bool
}

// ParseIfMatch reads the request's condition.
func ParseIfMatch(h http.Header) Condition {
	values := h.Values("If-Match")
	return Condition{header: strings.Join(values, ","), set: len(values) > 0}
}

// Check returns 412 precondition_failed unless the condition holds for the current version. Call it where
// the version is locked, else the check and the write are two moments.
func (c Condition) Check(version int64) error {
	if c.set && !matches(c.header, Format(version), false) {
		return problem.PreconditionFailed()
	}
	return nil
}

// IsNotModified reports whether the request's If-None-Match names the version, so that 304 is the answer.
func IsNotModified(h http.Header, version int64) bool {
	values := h.Values("If-None-Match")
	return len(values) > 0 && matches(strings.Join(values, ","), Format(version), true)
}

// matches reports whether one of the header's tags is tag. A weak tag counts only when weak is set.
func matches(header, tag string, weak bool) bool {
	for _, t := range strings.Split(header, ",") {
		t = strings.TrimSpace(t)
		if t == "*" {
			return true
		}
		if weak {
			t = strings.TrimPrefix(t, "W/")
		}
		if t == tag {
			return true
		}
	}
	return false
}
