package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/rollout"
	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/supervise"
	"pgo/deploy/pgo/internal/watch"
	"pgo/deploy/pgo/internal/web"
)

// rolloutTarget implements rollout.Target for a process that pgo supervises. It holds its target's changing lock.
type rolloutTarget struct {
	target    *target
	rollout   *rollout.Rollout
	from, to  supervise.Program
	noProgram error // why nothing ran; then from is nothing
	staged    rollout.StagedFile
	result    chan error // of the probation
}

// Name implements rollout.Target.
func (s *rolloutTarget) Name() string { return s.target.process.Name }

// Releases implements rollout.Target.
func (s *rolloutTarget) Releases() (from, to audit.Release) { return s.from.Release(), s.to.Release() }

// Label implements rollout.Target.
func (s *rolloutTarget) Label() string { return s.to.String() }

// CheckRelease implements rollout.Target.
func (s *rolloutTarget) CheckRelease(ctx context.Context) error {
	return s.target.store().VerifyContent(ctx, s.Name(), s.to.SHA256)
}

// NeedsSwitch implements rollout.Target.
func (s *rolloutTarget) NeedsSwitch() bool {
	return s.from.SHA256 != s.to.SHA256 || s.target.process.RunsOtherThan(s.to)
}

// Stage implements rollout.Target. The releases of a rollback have worked here before, and it goes on also on a full disk.
func (s *rolloutTarget) Stage(ctx context.Context) error {
	began := time.Now()
	staged := make(chan error, 1)
	go func() { // while the program is asked, which takes its time as well
		var err error
		if !s.rollout.Request().CheckOnly {
			s.staged, err = rollout.Stage(s.target.process.Spec().Command, s.to.Path, s.rollout.Request().Entry.ID)
		}
		staged <- err
	}()
	if !s.rollout.IsDeploy() {
		if err := <-staged; err != nil {
			s.target.deployer.deps.Log.Warn("copy a release to where it is deployed", "process", s.Name(), "error", err)
		}
		return nil
	}
	version, err := s.target.runPreflight(ctx, s.to)
	if failed := <-staged; failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name(), err)
	}
	s.to.Version = version
	s.rollout.Report(s.Name(), "checked", "release "+s.Label()+" is whole, is for this machine, and takes its configuration", began)
	return nil
}

// Unstage implements rollout.Target.
func (s *rolloutTarget) Unstage() { s.staged.Remove() }

// Refuse implements rollout.Target.
func (s *rolloutTarget) Refuse(why error) {
	s.Unstage()
	if why != nil && s.rollout.IsDeploy() && !s.rollout.Request().CheckOnly {
		s.target.deployer.counters.countResult(s.Name(), web.ResultRefused, reasonOf(why))
	}
}

// DescribeSwitch implements rollout.Target.
func (s *rolloutTarget) DescribeSwitch() string {
	from, to := s.Releases()
	return fmt.Sprintf("would run %s in place of %s, %d instances", to, from, s.target.process.Spec().Instances)
}

// Switch implements rollout.Target: it replaces instance by instance, and begins the probation.
func (s *rolloutTarget) Switch(ctx context.Context) error {
	p := s.target.process
	p.BeginDeploy()
	defer p.EndDeploy()
	measuring, stop := context.WithCancel(ctx)
	defer stop()
	errorShare := s.target.measureErrorShare(measuring)
	p.Choose(s.to)
	if err := s.awaitReplaced(ctx); err != nil {
		switch {
		case ctx.Err() != nil:
			return rollout.ExplainInterruption(ctx)
		case errors.Is(err, watch.ErrNotNow): // the release is not to blame
			return fmt.Errorf("%s: %w", s.Name(), err)
		}
		s.reportTail()
		return s.fault(err)
	}
	s.target.startProbation(s.to, s.target.keepBaseline(s.to, <-errorShare), s.result)
	s.target.announce(nil, "release %s runs, on probation with all of this deploy", s.to)
	return nil
}

func (s *rolloutTarget) fault(err error) error {
	return &rollout.Fault{Target: s.Name(), Release: s.Label(), Err: err}
}

// reportTail reports the last log lines of the processes that were to take over.
func (s *rolloutTarget) reportTail() {
	for _, i := range s.target.process.Instances() {
		for _, line := range s.target.instanceState(i).Process.LastLines {
			s.rollout.Report(s.Name(), "log", line, time.Time{})
		}
	}
}

// awaitReplaced returns when all instances run the chosen release and are ready. An instance that a person has stopped
// stays stopped.
func (s *rolloutTarget) awaitReplaced(ctx context.Context) error {
	p := s.target.process
	if err := s.target.replaceInstances(ctx); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, s.target.replaceTimeout())
	defer cancel()
	for _, i := range p.Instances() {
		if s.target.instanceState(i).Process.Status == control.Failed {
			i.Start()
		}
	}
	for {
		late, changed := s.target.deployer.deps.Store.FirstUnready([]string{p.Name})
		switch late.Status {
		case control.Ready, control.Stopped:
			return nil
		case control.Failed, control.BackingOff:
			return fmt.Errorf("%s: %s", late.Status, late.Reason)
		}
		select {
		case <-changed:
		case <-limited.Done():
			return fmt.Errorf("it is %s: %s: %w: %w", late.Status, late.Reason, context.Cause(limited), watch.ErrNotNow)
		}
	}
}

// AwaitProbation implements rollout.Target. A process that was stopped before the deploy has none: the release is that of its
// next start.
func (s *rolloutTarget) AwaitProbation(ctx context.Context) error {
	p := s.target.process
	if ctx.Err() != nil {
		return rollout.ExplainInterruption(ctx)
	}
	if !slices.ContainsFunc(p.Instances(), func(i *supervise.Instance) bool { return s.target.instanceState(i).Wanted }) {
		s.rollout.Report(s.Name(), "probation", "is stopped: the release is that of its next start", time.Time{})
		return nil
	}
	began := time.Now()
	s.rollout.Report(s.Name(), "probation", "on probation for "+p.Spec().Watch.Probation.String(), time.Time{})
	limited, cancel := context.WithTimeout(ctx, s.maxProbation())
	defer cancel()
	select {
	case err := <-s.result:
		if err != nil {
			return s.fault(err)
		}
	case <-limited.Done():
		if ctx.Err() != nil {
			return rollout.ExplainInterruption(ctx)
		}
		late, _ := s.target.deployer.deps.Store.FirstUnready([]string{p.Name})
		return fmt.Errorf("%s: its probation was not over after %s: it is %s: %s", p.Name, s.maxProbation(), late.Status, late.Reason)
	}
	// It may just have outgrown its limit, and no one has looked since.
	if err := p.CheckMemoryLimit(); err != nil {
		return s.fault(err)
	}
	s.rollout.Report(s.Name(), "good", "release "+s.Label()+" has proven itself", began)
	return nil
}

// maxProbation returns how long the probation may take. It begins again when a process ends, which one may do once, and goes on
// when the process is ready again, which may wait for other processes.
func (s *rolloutTarget) maxProbation() time.Duration {
	return 3*s.target.process.Spec().Watch.Probation + s.target.replaceTimeout()
}

// CancelProbation implements rollout.Target.
func (s *rolloutTarget) CancelProbation() { s.target.cancelProbation() }

// Commit implements rollout.Target.
func (s *rolloutTarget) Commit() {
	d := s.target.deployer
	s.target.cancelProbation()
	d.deps.Log.Info("release is live", "process", s.Name(), "release", s.Label())
	d.commitRelease(s.rollout.IsDeploy(), s.target.store(), s.Name(), s.from.SHA256, s.to.SHA256, s.staged)
	if s.rollout.IsDeploy() {
		d.counters.countAccepted(s.Name(), time.Since(s.rollout.Request().Since))
	}
	s.target.announce(func(r *state.Record) { r.Process.DeployFailure = "" }, "release %s is live", s.to)
}

// commitRelease makes a release the current one, in the store and in the deploy directory. An error, as of a full disk, is
// only logged: the release runs.
func (d *Deployer) commitRelease(isDeploy bool, store *release.Store, process, from, to string, staged rollout.StagedFile) {
	ctx := context.Background()
	err := store.SetCurrent(ctx, process, to)
	if isDeploy {
		err = errors.Join(err, store.MarkPassed(ctx, process, to))
	} else if left, unknown := store.Find(process, from); unknown == nil && left.Record.FailedAt == nil {
		err = errors.Join(err, store.MarkFailed(ctx, process, from, rollout.RolledBackByCommand))
	}
	if err = errors.Join(err, staged.Place()); err != nil {
		d.deps.Log.Error("have a release be the live one", "process", process, "error", err)
	}
}

// HasChanged implements rollout.Target.
func (s *rolloutTarget) HasChanged() bool {
	current, err := s.target.process.Program()
	return err != nil || current.SHA256 != s.from.SHA256 || s.target.process.RunsOtherThan(s.from)
}

// Revert implements rollout.Target.
func (s *rolloutTarget) Revert() error {
	p, d := s.target.process, s.target.deployer
	p.BeginDeploy()
	defer p.EndDeploy()
	if err := s.replaceByPrevious(); err != nil {
		return fmt.Errorf("%s: release %s: %w", s.Name(), s.from, err)
	}
	d.deps.Reloads.CountRollback(s.Name())
	d.counters.countResult(s.Name(), web.ResultRolledBack, web.ReasonOther)
	s.target.announce(nil, "release %s was rolled back, with all of its deploy: release %s runs", s.to, s.from)
	return nil
}

// replaceByPrevious makes the process run its previous release. Where it is about to be stopped, that is only what its next start
// runs.
func (s *rolloutTarget) replaceByPrevious() error {
	p, ctx := s.target.process, s.target.ctx
	if s.from.SHA256 == "" {
		p.Stop()
		p.ClearProgram(s.noProgram)
		p.Start() // which fails, as it did before, and says why
		return nil
	}
	p.Choose(s.from)
	s.target.clearFailedReload()
	if s.target.isAboutToEnd() || !p.RunsOtherThan(s.from) {
		return nil
	}
	err := s.target.replaceInstances(ctx)
	if s.target.isAboutToEnd() {
		p.Choose(s.from)
		return nil
	}
	if err != nil && p.RunsOtherThan(s.to) {
		// Some run one release, some the other: better all run the one that starts.
		p.Choose(s.to)
		err = errors.Join(err, s.target.replaceInstances(ctx))
	}
	return err
}

// Keep implements rollout.Target: the release becomes the current one, and goes on with its probation.
func (s *rolloutTarget) Keep() {
	log := s.target.deployer.deps.Log
	if err := s.target.store().SetCurrent(context.Background(), s.Name(), s.to.SHA256); err != nil {
		log.Error("mark a release", "process", s.Name(), "error", err)
	}
	if err := s.staged.Place(); err != nil {
		log.Error("put a program to where it is deployed", "process", s.Name(), "error", err)
	}
	s.target.startProbation(s.to, s.target.keptBaseline(s.to.SHA256), nil)
}

// MarkBad implements rollout.Target.
func (s *rolloutTarget) MarkBad(why error) {
	if err := s.target.store().MarkFailed(context.Background(), s.Name(), s.to.SHA256, why.Error()); err != nil {
		s.target.deployer.deps.Log.Error("mark a bad release", "process", s.Name(), "error", err)
	}
}

// AddTo implements rollout.Target.
func (s *rolloutTarget) AddTo(j *rollout.Journal) {
	if j.Files == nil {
		j.Files = map[string]rollout.StagedFile{}
	}
	j.Files[s.Name()] = s.staged
}

// Close implements rollout.Target.
func (s *rolloutTarget) Close() {
	s.target.setRollout(nil)
	s.target.unlock()
}
