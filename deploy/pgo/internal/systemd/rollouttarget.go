package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/command"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/rollout"
)

// maxRestarts is how often systemd may restart a unit by itself while its release is on probation: at that many it has
// failed.
const maxRestarts = 2

// probationInterval is the time between two looks at a unit on probation.
const probationInterval = 200 * time.Millisecond

// target implements rollout.Target for the units of one process.
type target struct {
	backend  *backend
	rollout  *rollout.Rollout
	process  processfile.Process
	from, to audit.Release
	isStored bool           // the release from before is whole in the store
	program  string         // path of the new program in the store
	pids     map[string]int // that ran before, by unit
	staged   rollout.StagedFile

	errors errorRate
}

// Name implements rollout.Target.
func (t *target) Name() string { return t.process.Name }

// Releases implements rollout.Target.
func (t *target) Releases() (from, to audit.Release) { return t.from, t.to }

// Label implements rollout.Target.
func (t *target) Label() string { return t.to.String() }

// NeedsSwitch implements rollout.Target.
func (t *target) NeedsSwitch() bool { return t.from.SHA256 != t.to.SHA256 }

// CheckRelease implements rollout.Target.
func (t *target) CheckRelease(ctx context.Context) error {
	return t.backend.machine.Store().VerifyContent(ctx, t.Name(), t.to.SHA256)
}

// Stage implements rollout.Target.
func (t *target) Stage(ctx context.Context) error {
	if err := t.storePrevious(ctx); err != nil {
		return err
	}
	began := time.Now()
	if t.rollout.IsDeploy() {
		if err := t.runPreflight(ctx); err != nil {
			return err
		}
	}
	if !t.rollout.Request().CheckOnly {
		var err error
		if t.staged, err = rollout.Stage(t.process.Command, t.program, ""); err != nil {
			return err
		}
	}
	t.rollout.Report(t.Name(), "checked", "release "+t.Label()+" is whole, is for this machine, and takes its configuration", began)
	return nil
}

// storePrevious adds the release that is to be replaced to the store, however it was deployed: it has to be there to roll
// back.
func (t *target) storePrevious(ctx context.Context) error {
	if t.from.SHA256 == "" || t.isStored {
		return nil
	}
	store := t.backend.machine.Store()
	_, err := store.Add(ctx, t.Name(), t.process.Command)
	if err == nil {
		err = errors.Join(store.SetCurrent(ctx, t.Name(), t.from.SHA256), store.MarkPassed(ctx, t.Name(), t.from.SHA256))
	}
	if err != nil {
		return fmt.Errorf("keep what runs, to be able to roll back: %w", err)
	}
	return nil
}

// runPreflight asks the new program for its version and whether it can work here.
func (t *target) runPreflight(ctx context.Context) error {
	m := t.backend.machine
	process, err := m.asDeployer(t.process)
	if err != nil {
		return err
	}
	answer, err := release.Preflight{
		Runner: &m.Runner, Process: process, Dir: m.WorkDir(t.process), Env: command.ListEnv(m.Environment(t.process)),
	}.Run(ctx, t.program)
	if err != nil {
		return fmt.Errorf("%s: %w", t.Name(), err)
	}
	if t.to.Version = answer.Version; t.to.Version != "" {
		return m.Store().SetVersion(ctx, t.Name(), t.to.SHA256, t.to.Version)
	}
	return nil
}

// Unstage implements rollout.Target.
func (t *target) Unstage() { t.staged.Remove() }

// Refuse implements rollout.Target.
func (t *target) Refuse(error) { t.Unstage() }

// DescribeSwitch implements rollout.Target.
func (t *target) DescribeSwitch() string {
	return fmt.Sprintf("would run %s in place of %s: systemctl restart %s", t.to, t.from, strings.Join(UnitsOf(t.process), " "))
}

// Switch implements rollout.Target: it deploys the file, and restarts unit after unit.
func (t *target) Switch(ctx context.Context) error {
	t.measureBaseline(ctx)
	if err := os.Rename(t.staged.Path, t.process.Command); err != nil {
		return fmt.Errorf("put a release to where it is deployed: %w", err)
	}
	for _, unit := range UnitsOf(t.process) {
		if err := t.backend.machine.RestartUnit(t.process, unit); err != nil {
			t.reportTail(unit)
			return t.fault(err)
		}
	}
	return nil
}

func (t *target) fault(err error) error {
	return &rollout.Fault{Target: t.Name(), Release: t.Label(), Err: err}
}

// reportTail reports the last log lines of a unit.
func (t *target) reportTail(unit string) {
	for _, line := range JournalTail(unit) {
		t.rollout.Report(t.Name(), "log", line, time.Time{})
	}
}

// AwaitProbation implements rollout.Target: it looks at the units until the longest probation of all targets is over.
func (t *target) AwaitProbation(ctx context.Context) error {
	for end := time.Now().Add(t.backend.probation); ; {
		isOver := time.Now().After(end)
		for _, unit := range UnitsOf(t.process) {
			err := t.checkUnit(ctx, unit, isOver)
			if ctx.Err() != nil {
				return rollout.ExplainInterruption(ctx)
			}
			if err != nil {
				t.reportTail(unit)
				return t.fault(err)
			}
		}
		if err := t.checkErrorRate(ctx, isOver); err != nil {
			return t.fault(err)
		}
		if isOver {
			return nil
		}
		select {
		case <-ctx.Done():
			return rollout.ExplainInterruption(ctx)
		case <-time.After(min(probationInterval, time.Until(end)+time.Millisecond)):
		}
	}
}

// checkUnit returns an error if a unit on probation has failed. At the end of the probation it has to be active.
func (t *target) checkUnit(ctx context.Context, unit string, isOver bool) error {
	s, err := t.backend.machine.ShowUnit(ctx, unit)
	if err != nil {
		return err
	}
	return s.judgeProbation(unit, t.process.Limits.Memory, isOver)
}

// judgeProbation returns why a unit on probation has failed. A memory limit of 0 is none.
func (s UnitState) judgeProbation(unit string, memoryLimit int64, isOver bool) error {
	switch {
	case s.Active == "failed":
		return fmt.Errorf("%s has failed (%s) while it was on probation", unit, s.Result)
	case s.Restarts >= maxRestarts:
		return fmt.Errorf("%s ended %d times while it was on probation", unit, s.Restarts)
	case memoryLimit > 0 && s.Memory > memoryLimit:
		return fmt.Errorf("%s uses %d bytes of memory, and limits.memory is %d", unit, s.Memory, memoryLimit)
	case isOver && s.Active != "active":
		return fmt.Errorf("%s is %s at the end of its probation", unit, s.Active)
	}
	return nil
}

// CancelProbation implements rollout.Target: nothing goes on in the background.
func (t *target) CancelProbation() {}

// Commit implements rollout.Target. The file is deployed already. On a full disk the marks stay as they were: what runs is
// more important.
func (t *target) Commit() {
	ctx, store := context.Background(), t.backend.machine.Store()
	_ = store.SetCurrent(ctx, t.Name(), t.to.SHA256)
	if t.rollout.IsDeploy() {
		_ = store.MarkPassed(ctx, t.Name(), t.to.SHA256)
		t.rollout.Report(t.Name(), "good", "release "+t.Label()+" has proven itself", time.Time{})
	} else {
		_ = store.MarkFailed(ctx, t.Name(), t.from.SHA256, rollout.RolledBackByCommand)
	}
}

// HasChanged implements rollout.Target.
func (t *target) HasChanged() bool {
	sum, err := HashFile(t.process.Command)
	return err != nil || sum != t.from.SHA256
}

// Revert implements rollout.Target. A unit that was never restarted is left alone; while the machine boots, systemd starts
// the units later.
func (t *target) Revert() error {
	if err := t.deployPrevious(); err != nil {
		return fmt.Errorf("%s: release %s: %w", t.Name(), t.from, err)
	}
	if t.from.SHA256 == "" || t.backend.machine.Booting {
		return nil
	}
	m := t.backend.machine
	for _, unit := range UnitsOf(t.process) {
		if s, err := m.ShowUnit(context.Background(), unit); err == nil && s.Active == "active" && s.PID != 0 && s.PID == t.pids[unit] {
			continue
		}
		if err := m.RestartUnit(t.process, unit); err != nil {
			return fmt.Errorf("%s: release %s: %w", t.Name(), t.from, err)
		}
	}
	return nil
}

// deployPrevious deploys the file from before again. If there was none, it removes the file: the unit fails, as it did
// before.
func (t *target) deployPrevious() error {
	if t.from.SHA256 == "" {
		if err := os.Remove(t.process.Command); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	staged, err := rollout.Stage(t.process.Command, t.backend.programPath(t.Name(), t.from), "")
	if err != nil {
		return err
	}
	return os.Rename(staged.Path, t.process.Command)
}

// Keep implements rollout.Target. The new file is deployed; what the store names as current stays, as the release has not
// served its probation.
func (t *target) Keep() {}

// MarkBad implements rollout.Target. Releases that a rollback goes back to are not marked.
func (t *target) MarkBad(why error) {
	if t.rollout.IsDeploy() {
		_ = t.backend.machine.Store().MarkFailed(context.Background(), t.Name(), t.to.SHA256, why.Error())
	}
}

// AddTo implements rollout.Target.
func (t *target) AddTo(j *rollout.Journal) {
	if j.PIDs == nil {
		j.PIDs = map[string]int{}
	}
	for unit, pid := range t.pids {
		j.PIDs[unit] = pid
	}
}

// Close implements rollout.Target.
func (t *target) Close() {}
