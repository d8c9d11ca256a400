// Package rollout replaces the releases of a set of processes, all of them or none: prepare, switch, probation, then commit
// or roll back. A Backend knows how to run a release: pgo's own supervisor, or systemd.
//
// Until the set has served its probation the release store names the previous releases as current: whoever starts
// processes after a crash starts what ran before. One step makes the new releases current: a file, the journal, in which
// PhaseSwitching becomes PhaseCommitting. Whoever finds a journal rolls back in the first phase, and commits in the second.
package rollout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/release"
)

// Report receives the progress of a rollout. It is called by one goroutine at a time.
type Report func(control.Progress)

// Rollout is one rollout of a set of releases.
type Rollout struct {
	backend Backend
	log     *slog.Logger
	request control.RolloutRequest
	entry   audit.Entry
	targets []Target // of which something changes, in the order of the set
	journal Journal

	reportMu sync.Mutex // guards report
	report   Report
}

// New returns a rollout. The journal's path belongs to the backend alone.
func New(b Backend, journalPath string, log *slog.Logger, request control.RolloutRequest, report Report) *Rollout {
	return &Rollout{
		backend: b, log: log, request: request, entry: request.Entry, report: report,
		journal: Journal{path: journalPath, Entry: request.Entry, Since: request.Since},
	}
}

// Run runs the rollout to its end and returns what became of it, which the audit log has then. If ctx ends before the
// probation is over, it rolls back, with the reason of an Interruption.
func (r *Rollout) Run(ctx context.Context) audit.Entry {
	defer r.closeTargets()
	err := r.prepare(ctx)
	if err != nil || r.request.CheckOnly {
		for _, t := range r.targets {
			t.Refuse(err)
		}
		return r.finish(audit.Refused, err)
	}
	if err = r.switchTargets(ctx); err == nil && r.entry.Kind == audit.KindDeploy {
		err = r.awaitProbation(ctx)
	}
	if err == nil {
		err = r.commit()
	}
	if err != nil {
		return r.rollBack(err)
	}
	return r.finish(audit.Done, nil)
}

// prepare finds out whether the set can run here, and asks the gates. Nothing that runs is touched.
func (r *Rollout) prepare(ctx context.Context) error {
	if r.entry.Kind == audit.KindRollback && len(r.entry.Changes) == 0 {
		set, err := r.backend.FindRollbackSet(ctx, r.request.Process, r.request.Release)
		if err != nil {
			return err
		}
		r.entry.Changes = set
	}
	if err := r.openTargets(ctx); err != nil || len(r.targets) == 0 {
		return err
	}
	if err := forEach(r.targets, func(t Target) error { return t.Stage(ctx) }); err != nil {
		return err
	}
	for _, t := range r.targets {
		i := slices.IndexFunc(r.entry.Changes, func(c audit.Change) bool { return c.Process == t.Name() })
		_, r.entry.Changes[i].To = t.Releases()
	}
	if r.request.CheckOnly {
		return r.reportPlan(ctx)
	}
	began := time.Now()
	err := r.backend.AskGates(ctx, r.targets, func(gate, text string) { r.Report(gate, "gate", text, began) })
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ExplainInterruption(ctx)
	}
	return r.writeJournal(PhaseSwitching)
}

// openTargets locks the processes of the set and leaves out those that run their release already.
func (r *Rollout) openTargets(ctx context.Context) error {
	for n := range r.entry.Changes {
		change := &r.entry.Changes[n]
		if slices.ContainsFunc(r.entry.Changes[:n], func(c audit.Change) bool { return c.Process == change.Process }) {
			return fmt.Errorf("%s is named twice", change.Process)
		}
		t, err := r.backend.OpenTarget(ctx, r, change.Process, change.To.SHA256)
		if t != nil {
			r.targets = append(r.targets, t)
		}
		if err != nil {
			return err
		}
		change.From, change.To = t.Releases()
	}
	if err := forEach(r.targets, func(t Target) error { return t.CheckRelease(ctx) }); err != nil {
		return err
	}
	r.targets = slices.DeleteFunc(r.targets, func(t Target) bool {
		changes := t.NeedsSwitch()
		if !changes {
			t.Close()
		}
		return !changes
	})
	return nil
}

// reportPlan reports what the gates would do, and what would be switched.
func (r *Rollout) reportPlan(ctx context.Context) error {
	err := r.backend.PlanGates(ctx, r.targets, func(gate, text string) { r.Report(gate, "plan", text, time.Time{}) })
	if err != nil {
		return err
	}
	for _, level := range r.backend.Levels(r.targets) {
		for _, t := range level {
			r.Report(t.Name(), "plan", t.DescribeSwitch(), time.Time{})
		}
	}
	return nil
}

// switchTargets replaces what runs, dependencies first.
func (r *Rollout) switchTargets(ctx context.Context) error {
	for _, level := range r.backend.Levels(r.targets) {
		if ctx.Err() != nil {
			return ExplainInterruption(ctx)
		}
		err := forEach(level, func(t Target) error {
			began := time.Now()
			if err := t.Switch(ctx); err != nil {
				return err
			}
			r.Report(t.Name(), "runs", "release "+t.Label()+" answers", began)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// awaitProbation waits until every target has served its probation, and returns the first failure, which ends the probation
// of the others: no target is watched or reports any more when it returns.
func (r *Rollout) awaitProbation(ctx context.Context) error {
	watch, ctx := errgroup.WithContext(ctx)
	for _, t := range r.targets {
		watch.Go(func() error { return t.AwaitProbation(ctx) })
	}
	return watch.Wait()
}

// commit makes the new releases the current ones.
func (r *Rollout) commit() error {
	if err := r.writeJournal(PhaseCommitting); err != nil {
		return err
	}
	for _, t := range r.targets {
		t.Commit()
	}
	r.journal.Remove()
	return nil
}

// writeJournal writes how far the rollout is. A rollback goes on also on a full disk.
func (r *Rollout) writeJournal(p Phase) error {
	r.journal.Phase, r.journal.Entry = p, r.entry
	for _, t := range r.targets {
		t.AddTo(&r.journal)
	}
	err := r.journal.write()
	if err != nil && r.entry.Kind == audit.KindRollback {
		r.log.Warn("a rollback goes on without a journal", "error", err)
		return nil
	}
	return err
}

// rollBack makes everything run again what ran before, dependents first, unless a gate forbids it: then the new releases
// stay.
func (r *Rollout) rollBack(why error) audit.Entry {
	r.log.Warn("rolling a deploy back", "id", r.entry.ID, "why", why)
	for _, t := range r.targets {
		t.CancelProbation()
	}
	r.Report("", "back", "failed, and is rolled back: "+why.Error(), time.Time{})
	changed := slices.DeleteFunc(slices.Clone(r.targets), func(t Target) bool { return !t.HasChanged() })
	failed := r.backend.AskGatesToRevert(changed)
	if failed != nil {
		failed = fmt.Errorf("%w; not rolled back, since %w", why, failed)
		for _, t := range changed {
			t.Keep()
		}
	} else if err := r.revert(changed); err != nil {
		failed = fmt.Errorf("%w; not all was rolled back: %w", why, err)
	}
	var fault *Fault
	for _, t := range r.targets {
		if errors.As(why, &fault) && fault.Target == t.Name() {
			t.MarkBad(fault.Err)
		}
		t.Unstage()
	}
	r.journal.Remove()
	if failed != nil {
		return r.finish(audit.NotRolledBack, failed)
	}
	return r.finish(audit.RolledBack, why)
}

func (r *Rollout) revert(changed []Target) error {
	levels := r.backend.Levels(changed)
	slices.Reverse(levels)
	var failed []error
	for _, level := range levels {
		failed = append(failed, forEach(level, func(t Target) error {
			began := time.Now()
			from, _ := t.Releases()
			if err := t.Revert(); err != nil {
				return err
			}
			r.Report(t.Name(), "back", "release "+from.String()+" runs again", began)
			return nil
		}))
	}
	return errors.Join(failed...)
}

// finish records what became of the rollout.
func (r *Rollout) finish(result audit.Result, why error) audit.Entry {
	if why == nil {
		result = audit.Done
	}
	r.entry.Result, r.entry.Ended = result, time.Now().UTC()
	if !r.request.Since.IsZero() {
		r.entry.Seconds = time.Since(r.request.Since).Seconds()
	}
	if why != nil {
		r.entry.Reason = why.Error()
	}
	// A rollback for which nothing was found, as with a mistyped name, has asked for nothing.
	isVoid := why != nil && result == audit.Refused && r.entry.Kind == audit.KindRollback && len(r.entry.Changes) == 0
	if err := r.backend.Record(r.entry, r.request.CheckOnly || isVoid); err != nil {
		r.entry.Reason = strings.TrimPrefix(r.entry.Reason+"; "+err.Error(), "; ")
	}
	return r.entry
}

func (r *Rollout) closeTargets() {
	for _, t := range r.targets {
		t.Close()
	}
}

// Request returns what was asked for.
func (r *Rollout) Request() control.RolloutRequest { return r.request }

// IsDeploy reports whether the rollout deploys; else it goes back to earlier releases, which need no probation.
func (r *Rollout) IsDeploy() bool { return r.entry.Kind == audit.KindDeploy }

// RolledBackByCommand is why a release is marked bad that a person has left. It is not reported again when its file is
// found.
const RolledBackByCommand = "rolled back by command"

// CheckNotBad returns an error if a release was found bad before, and the rollout does not try it all the same.
func (r *Rollout) CheckNotBad(process, label string, of release.Record) error {
	if of.FailedAt != nil && of.Failure != RolledBackByCommand && !r.request.AllowFailed && r.IsDeploy() {
		return fmt.Errorf("%s: release %s was found bad before: %s: --again tries it all the same", process, label, of.Failure)
	}
	return nil
}

// Report reports a step of one process. With a time, it reports how long the step took since then.
func (r *Rollout) Report(process, step, text string, began time.Time) {
	p := control.Progress{Process: process, Step: step, Text: text}
	if !began.IsZero() {
		p.Seconds = time.Since(began).Seconds()
	}
	r.reportMu.Lock()
	defer r.reportMu.Unlock()
	r.report(p)
}

// Interruption is the cause of the end of a rollout's context where it is not that the caller is gone.
type Interruption struct{ Reason error }

// Error implements error.
func (i *Interruption) Error() string { return i.Reason.Error() }

// Unwrap returns the reason.
func (i *Interruption) Unwrap() error { return i.Reason }

// ExplainInterruption returns why the context of a rollout has ended.
func ExplainInterruption(ctx context.Context) error {
	cause := context.Cause(ctx)
	if i, ok := errors.AsType[*Interruption](cause); ok {
		return i
	}
	return fmt.Errorf("the connection to who deploys was lost: %w", cause)
}

// Refuse records a rollout that is not even prepared.
func Refuse(b Backend, request control.RolloutRequest, why error) audit.Entry {
	return New(b, "", slog.New(slog.DiscardHandler), request, func(control.Progress) {}).finish(audit.Refused, why)
}

// forEach calls do for all targets concurrently, and returns the first error, in the order of the targets, when all have
// returned.
func forEach(targets []Target, do func(Target) error) error {
	errs := make([]error, len(targets))
	var all sync.WaitGroup
	for n, t := range targets {
		all.Go(func() { errs[n] = do(t) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
