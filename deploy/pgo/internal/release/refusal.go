// Package release decides which files may run, and stores those that do.
//
// Verify checks that a file is one whole program for this machine. Preflight checks that the program can work here. Store
// keeps copies, named by their content, with their state: which one is current, which passed probation, which failed.
package release

import "fmt"

// Kind classifies a refusal. It is an error, so that errors.Is(err, release.Mixed) identifies it.
type Kind string

// The kinds of a refusal.
const (
	Incomplete        Kind = "incomplete"         // shorter than its own headers require: an upload that goes on, or was cut off
	Mixed             Kind = "mixed"              // well-formed, but not one build: parts of two, holes, or damage
	WrongArchitecture Kind = "wrong architecture" // a program for another operating system or processor
	NotExecutable     Kind = "not executable"     // not a program, or without the permission
	Unverified        Kind = "no proof"           // neither a build ID nor a .sha256 that its content can be compared with
)

// Error returns the kind's text.
func (k Kind) Error() string { return string(k) }

// Refusal is returned for a file that could be read and must not run.
type Refusal struct {
	Kind Kind
	Path string
	Why  string // for a person; with the remedy, if there is one
}

// Error returns the path, the kind and the reason.
func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s: %s", r.Path, r.Kind, r.Why) }

// Unwrap returns the Kind.
func (r *Refusal) Unwrap() error { return r.Kind }

// newRefusal returns a refusal without a path, which wrapWithPath adds.
func newRefusal(kind Kind, why string, args ...any) *Refusal {
	return &Refusal{Kind: kind, Why: fmt.Sprintf(why, args...)}
}
