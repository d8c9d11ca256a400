package deploy

import (
	"errors"
	"os"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/rollout"
	"pgo/deploy/pgo/internal/supervise"
)

// FinishCommitted commits the rollout that the manager before has left in that phase, before any process is resumed. It
// returns the journal of a rollout that is to be rolled back, else nil.
func (d *Deployer) FinishCommitted() *rollout.Journal {
	path := d.deps.Home.RolloutPath()
	j, err := rollout.ReadJournal(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		d.deps.Log.Error("read how far a deploy was", "error", err)
		_ = os.Remove(path)
		return nil
	}
	if j.Phase != rollout.PhaseCommitting {
		return j
	}
	store := &release.Store{Dir: d.deps.Home.ReleaseDir(), Log: d.deps.Log}
	for _, c := range j.Entry.Changes {
		if staged, hasChanged := j.Files[c.Process]; hasChanged {
			d.commitRelease(j.Entry.Kind == audit.KindDeploy, store, c.Process, c.From.SHA256, c.To.SHA256, staged)
		}
	}
	rollout.RecordInterrupted(backend{deployer: d}, j, nil)
	return nil
}

// RollBackInterrupted rolls back, in the background, the rollout that the manager before had begun. If no process was
// resumed, there is nothing to replace.
func (d *Deployer) RollBackInterrupted(j *rollout.Journal, hasResumed bool) {
	why := errors.New("pgo's manager ended in the middle of it")
	if !hasResumed {
		for _, staged := range j.Files {
			staged.Remove()
		}
		rollout.RecordInterrupted(backend{deployer: d}, j, why)
		return
	}
	d.turn <- struct{}{} // no one else has it yet
	r := rollout.Resume(backend{deployer: d}, j, d.deps.Log, d.reopenTarget)
	go func() {
		defer func() { <-d.turn }()
		r.RollBack(why)
	}()
}

// reopenTarget locks a process of an interrupted rollout. It returns nil if the rollout was not to change it, or it is
// gone.
func (d *Deployer) reopenTarget(r *rollout.Rollout, j *rollout.Journal, c audit.Change) rollout.Target {
	p := d.set.Lookup(c.Process)
	staged, hasChanged := j.Files[c.Process]
	if !hasChanged || p == nil {
		return nil
	}
	t := d.target(p)
	t.changing <- struct{}{} // no one else has it yet
	s := &rolloutTarget{target: t, rollout: r, staged: staged, result: make(chan error, 1)}
	s.from, s.noProgram = p.Program() // which is the current release of the store
	if s.noProgram != nil {
		s.from = supervise.Program{}
	}
	if to, err := t.store().Find(p.Name, c.To.SHA256); err == nil {
		s.to = supervise.ProgramOf(to)
	}
	return s
}
