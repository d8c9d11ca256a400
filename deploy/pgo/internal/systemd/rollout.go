package systemd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/requests"
	"pgo/deploy/pgo/internal/rollout"
)

// RunRollout runs a rollout and returns what became of it, which the audit log has then. If ctx ends before the probation
// is over, it rolls back. systemd starts nothing beside what runs: it holds the listening sockets, so connections wait
// while a service is restarted.
func (m *Machine) RunRollout(ctx context.Context, request control.RolloutRequest, report func(control.Progress)) (audit.Entry, error) {
	r := rollout.New(newBackend(m), m.Home.UnitRolloutPath(), slog.New(slog.DiscardHandler), request, report)
	return r.Run(ctx), nil
}

// RecoverRollout ends a rollout whose process was killed: it rolls back, or commits what had served its probation.
func (m *Machine) RecoverRollout(ctx context.Context) error {
	j, err := rollout.ReadJournal(m.Home.UnitRolloutPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read how far the deploy before was: %w", err)
	}
	if _, isRecorded, err := m.Home.AuditLog().Find(j.Entry.ID); err != nil || isRecorded {
		j.Remove()
		return err
	}
	b := newBackend(m)
	r := rollout.Resume(b, j, slog.New(slog.DiscardHandler), b.reopenTarget)
	if j.Phase == rollout.PhaseCommitting {
		r.Commit()
	} else {
		r.RollBack(errors.New("its process on the host was killed in the middle of it"))
	}
	return ctx.Err()
}

// backend implements rollout.Backend for the units of a machine.
type backend struct {
	machine   *Machine
	reader    *requests.Reader
	probation time.Duration // the longest of all targets: they end it together
}

func newBackend(m *Machine) *backend { return &backend{machine: m, reader: requests.NewReader()} }

// FindRollbackSet implements rollout.Backend.
func (b *backend) FindRollbackSet(ctx context.Context, process, wanted string) ([]audit.Change, error) {
	if process != "" {
		to, err := b.machine.Store().ResolveRollback(ctx, process, wanted)
		if err != nil {
			return nil, fmt.Errorf("%w: pgo releases shows what there is", err)
		}
		return []audit.Change{{Process: process, To: audit.Release{SHA256: to.Record.Verification.SHA256}}}, nil
	}
	all, err := b.machine.ListDeployables(ctx)
	if err != nil {
		return nil, err
	}
	set, err := b.machine.Home.AuditLog().PlanUndo(func(c audit.Change) bool {
		return slices.ContainsFunc(all, func(d control.Deployable) bool { return d.Name == c.Process && d.Current.SHA256 == c.To.SHA256 })
	})
	if set == nil && err == nil {
		err = fmt.Errorf("no deploy is what runs now: %w: name a service", release.ErrNoRollbackTarget)
	}
	return set, err
}

// OpenTarget implements rollout.Backend. The deploy lock of the home, which the caller holds, locks all processes.
func (b *backend) OpenTarget(ctx context.Context, r *rollout.Rollout, process, sha256 string) (rollout.Target, error) {
	m := b.machine
	spec, ok := m.FindProcess(process)
	if !ok {
		return nil, fmt.Errorf("%s cannot be deployed: it is not watched (watch: true in the process file)", process)
	}
	t := &target{backend: b, rollout: r, process: spec, pids: map[string]int{}}
	for _, unit := range UnitsOf(spec) {
		s, err := m.ShowUnit(ctx, unit)
		if err != nil {
			return nil, err
		}
		if s.Load != "loaded" {
			return nil, fmt.Errorf("%s: systemd has no unit %s (%s): pgo export systemd makes it", spec.Name, unit, s.Load)
		}
		t.pids[unit] = s.PID
	}
	all, err := m.Store().List(spec.Name)
	if err == nil {
		t.from, err = m.CurrentRelease(spec, all)
	}
	if err != nil {
		return nil, err
	}
	to, err := m.Store().Find(spec.Name, sha256)
	if err != nil {
		return nil, err
	}
	t.to, t.program = audit.Release{SHA256: to.Record.Verification.SHA256, Version: to.Record.Version}, to.Path
	t.isStored = slices.ContainsFunc(all, func(is release.Release) bool {
		return is.Record.Verification.SHA256 == t.from.SHA256 && !is.Missing && is.Damaged == ""
	})
	if !t.NeedsSwitch() {
		return t, nil
	}
	b.probation = max(b.probation, spec.Watch.Probation)
	return t, r.CheckNotBad(spec.Name, t.Label(), to.Record)
}

// reopenTarget returns the target of an interrupted rollout, nil if it was not to change.
func (b *backend) reopenTarget(r *rollout.Rollout, j *rollout.Journal, c audit.Change) rollout.Target {
	spec, ok := b.machine.FindProcess(c.Process)
	if !ok || c.From.SHA256 == c.To.SHA256 {
		return nil
	}
	return &target{
		backend: b, rollout: r, process: spec, from: c.From, to: c.To, pids: j.PIDs, staged: rollout.StagedAt(spec.Command, ""),
	}
}

// Levels implements rollout.Backend: units are restarted one after the other.
func (b *backend) Levels(targets []rollout.Target) (levels [][]rollout.Target) {
	byLevel := rollout.SortByLevel(targets, func(process string) []string {
		i := slices.IndexFunc(b.machine.File.Processes, func(p processfile.Process) bool { return p.Name == process })
		if i < 0 {
			return nil
		}
		return b.machine.File.Processes[i].After
	})
	for _, level := range byLevel {
		for _, t := range level {
			levels = append(levels, []rollout.Target{t})
		}
	}
	return levels
}

// AskGates implements rollout.Backend.
func (b *backend) AskGates(ctx context.Context, targets []rollout.Target, report func(gate, text string)) error {
	return b.machine.AskGates(ctx, newPrograms(targets), false, report)
}

// PlanGates implements rollout.Backend.
func (b *backend) PlanGates(ctx context.Context, targets []rollout.Target, report func(gate, text string)) error {
	return b.machine.AskGates(ctx, newPrograms(targets), true, report)
}

func newPrograms(targets []rollout.Target) map[string]string {
	programs := map[string]string{}
	for _, t := range targets {
		programs[t.Name()] = t.(*target).program
	}
	return programs
}

// AskGatesToRevert implements rollout.Backend.
func (b *backend) AskGatesToRevert(targets []rollout.Target) error {
	programs := map[string]string{}
	for _, t := range targets {
		if from, _ := t.Releases(); from.SHA256 != "" {
			programs[t.Name()] = b.programPath(t.Name(), from)
		}
	}
	return b.machine.AskGates(context.Background(), programs, false, func(string, string) {})
}

// programPath returns the path of a release's program in the store.
func (b *backend) programPath(process string, r audit.Release) string {
	return filepath.Join(b.machine.Store().Dir, process, r.SHA256)
}

// Record implements rollout.Backend.
func (b *backend) Record(e audit.Entry, isCheck bool) error {
	if isCheck {
		return nil
	}
	return b.machine.Home.AuditLog().Append(e)
}
