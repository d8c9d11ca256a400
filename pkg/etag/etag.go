// Package etag reads and writes the headers of conditional requests on entities that have a version (RFC 9110, section 13).
package etag

import (
	"net/http"
	"strconv"
	"strings"

	"pgo/pkg/entity"
)

// Format returns the strong entity tag of a version.
func Format(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// FormatRevision returns the strong entity tag of an entity that also shows what its version does not cover, such as counters
// that others change. The revision grows with each change of those. If-None-Match compares the whole tag, so that a cached
// response is never out of date; If-Match compares the version alone, so that the changes of others are no conflict.
func FormatRevision(version, revision int64) string {
	return `"` + strconv.FormatInt(version, 10) + "." + strconv.FormatInt(revision, 10) + `"`
}

// ParseIfMatch returns the condition that the request's If-Match states: the zero condition without the header, any
// version for "*", otherwise the versions in its list. A weak tag names the version too, beyond RFC 9110: the gateway weakens
// the tags of what it compresses, and callers return them. A tag that neither Format nor FormatRevision writes names no version.
func ParseIfMatch(h http.Header) entity.Condition {
	values := h.Values("If-Match")
	if len(values) == 0 {
		return entity.Condition{}
	}
	var versions []int64
	for tag := range splitTags(values) {
		if tag == "*" {
			return entity.AnyVersion()
		}
		if v, ok := parseTag(strings.TrimPrefix(tag, "W/")); ok {
			versions = append(versions, v)
		}
	}
	return entity.VersionIn(versions...)
}

// IsNotModified reports whether the request's If-None-Match names the current entity tag, so that 304 is the answer.
func IsNotModified(h http.Header, current string) bool {
	for tag := range splitTags(h.Values("If-None-Match")) {
		if tag == "*" || strings.TrimPrefix(tag, "W/") == current {
			return true
		}
	}
	return false
}

// splitTags yields each element of the lists in values.
func splitTags(values []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, value := range values {
			for tag := range strings.SplitSeq(value, ",") {
				if !yield(strings.TrimSpace(tag)) {
					return
				}
			}
		}
	}
}

// parseTag returns the version in a tag that Format or FormatRevision writes. Other spellings of a number, such as "03", are
// not accepted.
func parseTag(tag string) (int64, bool) {
	version, revision, hasRevision := strings.Cut(strings.Trim(tag, `"`), ".")
	v, err := strconv.ParseInt(version, 10, 64)
	if err != nil || !hasRevision {
		return v, err == nil && Format(v) == tag
	}
	r, err := strconv.ParseInt(revision, 10, 64)
	return v, err == nil && FormatRevision(v, r) == tag
}
