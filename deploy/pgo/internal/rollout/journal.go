package rollout

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/release"
)

// Phase is how far a rollout is.
type Phase string

// The phases. A journal without one is of a pgo that knew only the first.
const (
	PhaseSwitching  Phase = "switching"  // a recovery rolls back
	PhaseCommitting Phase = "committing" // a recovery commits
)

// Journal is the part of a rollout that a recovery needs.
type Journal struct {
	Phase Phase                 `json:"phase,omitempty"`
	Entry audit.Entry           `json:"entry"`
	Since time.Time             `json:"since"`
	Files map[string]StagedFile `json:"files,omitempty"` // by process, of pgo's own processes
	PIDs  map[string]int        `json:"pids,omitempty"`  // that ran before, by systemd unit

	path string
}

// ReadJournal returns the journal of a rollout that was interrupted. Its error is os.ErrNotExist where there is none.
func ReadJournal(path string) (*Journal, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	j := &Journal{path: path}
	if err := json.Unmarshal(text, j); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if j.Phase == "" {
		j.Phase = PhaseSwitching
	}
	return j, nil
}

// Remove removes the journal: nothing is left to recover.
func (j *Journal) Remove() { _ = os.Remove(j.path) }

func (j *Journal) write() error {
	text, err := json.Marshal(j)
	if err == nil {
		err = home.ReplaceFile(j.path, text)
	}
	if err != nil {
		return fmt.Errorf("write the journal of the deploy: %w", err)
	}
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
