// Package release decides which files may run, and keeps those that do.
//
// Verify proves that a file is one whole program for this machine. Preflight asks it whether it can work here. Store
// keeps copies, named by their content, with what became of each: which one is live, which were good, which were not.
package release

import "fmt"

// Kind is why a file is refused. It is an error, so that errors.Is(err, release.Mixed) tells kinds apart.
type Kind string

// The kinds.
const (
	Incomplete        Kind = "incomplete"         // shorter than its own headers say: an upload that goes on, or was cut off
	Mixed             Kind = "mixed"              // of the right form, but not one build: parts of two, holes, or damage
	WrongArchitecture Kind = "wrong architecture" // a program, for another operating system or processor
	NotExecutable     Kind = "not executable"     // no program, or one without the permission
	Unverified        Kind = "no proof"           // neither a build ID nor a .sha256 that says what it should hold
)

// Error makes a Kind an error.
func (k Kind) Error() string { return string(k) }

// Refusal is the error for a file that could be read and must not run.
type Refusal struct {
	Kind Kind
	Path string
	Why  string // for a person, and where there is something to do, what
}

// Error names the file, the kind and the reason.
func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s: %s", r.Path, r.Kind, r.Why) }

// Unwrap returns the Kind.
func (r *Refusal) Unwrap() error { return r.Kind }

// newRefusal leaves the path to who knows it.
func newRefusal(kind Kind, why string, args ...any) *Refusal {
	return &Refusal{Kind: kind, Why: fmt.Sprintf(why, args...)}
}
