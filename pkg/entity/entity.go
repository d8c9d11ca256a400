// Package entity states what a change expects of the entity that it changes. It knows nothing of HTTP: package etag reads
// a Condition from a request, and the domain checks it.
package entity

import (
	"slices"

	"pgo/pkg/problem"
)

// Condition restricts the versions of an entity that a change may apply to. The zero Condition holds for every version.
type Condition struct {
	set      bool
	any      bool
	versions []int64
}

// AnyVersion returns a condition that holds for every version. Unlike the zero Condition it asks for an entity that
// exists: IsSet returns true for it.
func AnyVersion() Condition { return Condition{set: true, any: true} }

// VersionIn returns a condition that holds for the given versions alone. Without any it never holds.
func VersionIn(versions ...int64) Condition {
	return Condition{set: true, versions: slices.Clone(versions)}
}

// IsSet reports whether the caller stated a condition at all.
func (c Condition) IsSet() bool { return c.set }

// Check returns a precondition_failed problem unless the condition holds for the current version. Call it where the
// version is locked; otherwise the entity may change between the check and the write.
func (c Condition) Check(version int64) error {
	if c.set && !c.any && !slices.Contains(c.versions, version) {
		return problem.PreconditionFailed()
	}
	return nil
}
