package rollout

import (
	"log/slog"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
)

// Resume returns an interrupted rollout, to be rolled back. open returns the locked target of a change, nil if the rollout
// was not to change it or it is gone.
func Resume(b Backend, j *Journal, log *slog.Logger, open func(*Rollout, *Journal, audit.Change) Target) *Rollout {
	r := New(b, j.path, log, control.RolloutRequest{Entry: j.Entry, Since: j.Since}, func(control.Progress) {})
	r.journal = *j
	for _, c := range j.Entry.Changes {
		if t := open(r, j, c); t != nil {
			r.targets = append(r.targets, t)
		}
	}
	return r
}

// RollBack rolls back a resumed rollout, and returns what became of it.
func (r *Rollout) RollBack(why error) audit.Entry {
	defer r.closeTargets()
	return r.rollBack(why)
}

// Commit commits a resumed rollout, and returns what became of it.
func (r *Rollout) Commit() audit.Entry {
	defer r.closeTargets()
	for _, t := range r.targets {
		t.Commit()
	}
	r.journal.Remove()
	return r.finish(audit.Done, nil)
}

// RecordInterrupted ends an interrupted rollout of which nothing is left to do. Without a reason it was through.
func RecordInterrupted(b Backend, j *Journal, why error) audit.Entry {
	request := control.RolloutRequest{Entry: j.Entry, Since: j.Since}
	e := New(b, j.path, slog.New(slog.DiscardHandler), request, func(control.Progress) {}).finish(audit.RolledBack, why)
	j.Remove()
	return e
}
