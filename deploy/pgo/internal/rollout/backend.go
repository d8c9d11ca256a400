package rollout

import (
	"context"
	"fmt"

	"pgo/deploy/pgo/internal/audit"
)

// Backend runs releases, and asks the gates that guard them.
type Backend interface {
	// FindRollbackSet returns the changes of a rollback that names no set: of one process where it is named, to one release
	// where that is named, else of the last deploy that is still current.
	FindRollbackSet(ctx context.Context, process, release string) ([]audit.Change, error)
	// OpenTarget finds a process and a release for it, and locks the process against other changes. A target that is returned
	// with an error is closed as well.
	OpenTarget(ctx context.Context, r *Rollout, process, sha256 string) (Target, error)
	// Levels sorts targets by dependency. The targets of one level are switched concurrently.
	Levels(targets []Target) [][]Target
	// AskGates asks the gates whether the new releases may run, once they can be asked.
	AskGates(ctx context.Context, targets []Target, report func(gate, text string)) error
	// PlanGates asks the gates what they would do for the new releases.
	PlanGates(ctx context.Context, targets []Target, report func(gate, text string)) error
	// AskGatesToRevert asks the gates whether the releases from before may run again.
	AskGatesToRevert(targets []Target) error
	// Record appends the entry of a rollout that has ended to the audit log, unless it was only a check. A returned error is
	// added to the entry's reason.
	Record(e audit.Entry, isCheck bool) error
}

// Target is one process of a rollout, locked against other changes until Close.
type Target interface {
	// Name returns the name of the process.
	Name() string
	// Releases returns the release that ran before and the new one. After Stage the version of the new one is known.
	Releases() (from, to audit.Release)
	// Label returns the new release as progress and errors name it.
	Label() string
	// CheckRelease verifies that the stored program is whole.
	CheckRelease(ctx context.Context) error
	// NeedsSwitch reports whether something runs, or would be started, that is not the new release.
	NeedsSwitch() bool
	// Stage checks whether the program can work here, and copies it beside the deployed file: a full disk is found before
	// anything is touched.
	Stage(ctx context.Context) error
	// Unstage removes that copy.
	Unstage()
	// Refuse unstages a release that is not rolled out; why is nil after a check.
	Refuse(why error)
	// DescribeSwitch says what Switch would do.
	DescribeSwitch() string
	// Switch replaces what runs by the new release, and returns when that is ready. An error that is the release's fault is
	// a Fault.
	Switch(ctx context.Context) error
	// AwaitProbation returns nil when the release has served its probation. An error that is the release's fault is a Fault.
	AwaitProbation(ctx context.Context) error
	// CancelProbation ends the probation without a result.
	CancelProbation()
	// Commit makes the release the current one, in the store and in the deploy directory. It logs what fails: the release
	// runs.
	Commit()
	// HasChanged reports whether the new release runs, or would be started.
	HasChanged() bool
	// Revert makes the process run again what it ran before.
	Revert() error
	// Keep makes the new release stay, where a gate forbids to go back.
	Keep()
	// MarkBad marks the release, so that it is not deployed again by mistake.
	MarkBad(why error)
	// AddTo adds what a recovery needs to the journal.
	AddTo(j *Journal)
	// Close unlocks the process.
	Close()
}

// Fault is an error that is a release's fault.
type Fault struct {
	Target  string // the name of the process
	Release string // as errors name it
	Err     error
}

// Error implements error.
func (f *Fault) Error() string { return fmt.Sprintf("%s: release %s: %v", f.Target, f.Release, f.Err) }

// Unwrap returns the error without the names.
func (f *Fault) Unwrap() error { return f.Err }
