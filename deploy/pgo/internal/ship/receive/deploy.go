package receive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/ship/wire"
)

// deploy serves a deploy or a rollback, from the lock to the result.
func (s *session) deploy(ctx context.Context, welcome wire.Welcome) error {
	if s.hello.DryRun {
		s.entry.Kind = wire.OpDeploy
	}
	l, err := acquireLock(ctx, s.Options.Home, lockHolder{Entry: s.entry, Since: s.startedAt, PID: os.Getpid()}, s.hello.Wait, func(text string) error {
		return s.conn.Send(wire.Report{Step: "waits", Text: text})
	})
	if err != nil {
		return s.refuse(err)
	}
	defer l.unlock()
	run, deployables, err := s.awaitRunner(ctx)
	if err == nil {
		err = l.clearStale()
	}
	if errors.Is(err, control.ErrNotRunning) {
		err = fmt.Errorf("%w for %s: start it there with pgo up", err, s.Options.Home)
	}
	if err != nil {
		return s.refuse(err)
	}
	s.deployables = deployables
	for _, d := range deployables {
		welcome.Processes = append(welcome.Processes, wire.Process{Name: d.Name, File: filepath.Base(d.File), Current: d.Current.SHA256, Releases: d.Releases})
	}
	if err := s.conn.Send(wire.Report{Welcome: &welcome}); err != nil {
		return s.refuse(err)
	}
	if s.hello.Operation == wire.OpDeploy {
		if err := s.receiveSet(ctx); errors.Is(err, errNoPlan) {
			return s.sendRefusal(err) // nothing was asked for
		} else if err != nil {
			return s.refuse(err)
		}
	}
	entry, err := run.RunRollout(ctx, control.RolloutRequest{
		Entry: s.entry, Since: s.startedAt, Process: s.hello.Process, Release: s.hello.Release, AllowFailed: s.hello.Again, CheckOnly: s.hello.DryRun,
	}, func(p control.Progress) {
		_ = s.conn.Send(wire.Report{Process: p.Process, Step: p.Step, Text: p.Text, Seconds: p.Seconds}) // a lost session ends ctx as well
	})
	if err == nil {
		return s.conn.Send(wire.Report{Result: &entry})
	}
	// The manager ended, or the client is gone: once the rollout has ended or is recovered, its result is in the audit log.
	waiting, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer stop()
	_, _, awaitErr := s.awaitRunner(waiting)
	found, known, readErr := s.Options.Home.AuditLog().Find(s.entry.ID)
	if known {
		return s.conn.Send(wire.Report{Result: &found})
	}
	return s.refuse(errors.Join(err, awaitErr, readErr))
}

// refuse adds the deploy to the audit log as refused, unless it is a dry run, and sends the client that result.
func (s *session) refuse(reason error) error {
	s.entry.Result, s.entry.Reason, s.entry.Ended = audit.Refused, reason.Error(), time.Now().UTC()
	s.entry.Seconds = time.Since(s.startedAt).Seconds()
	if !s.hello.DryRun {
		if err := s.Options.Home.AuditLog().Append(s.entry); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.entry.Reason += "; " + err.Error()
		}
	}
	return s.sendRefusal(reason)
}

// sendRefusal sends the client that the deploy is refused.
func (s *session) sendRefusal(reason error) error {
	s.entry.Result, s.entry.Reason = audit.Refused, cmp.Or(s.entry.Reason, reason.Error())
	report := wire.Report{Result: &s.entry}
	if errors.Is(reason, ErrLocked) {
		report.Step = "locked"
	}
	if errors.Is(reason, control.ErrNotRunning) {
		report.Step = "unavailable"
	}
	return s.conn.Send(report)
}

// errNoPlan is the error of a client that leaves before it sends what to deploy, as for a name that this host does not have.
var errNoPlan = errors.New("the client named nothing to deploy")

// receiveSet receives the plan, and the programs that the client sends into the store. It touches no running process.
func (s *session) receiveSet(ctx context.Context) error {
	var plan wire.Plan
	if err := s.conn.Receive(&plan); err != nil {
		return fmt.Errorf("%w: %w", errNoPlan, err)
	}
	changes, err := changesOf(plan, s.deployables)
	s.entry.Changes = append(s.entry.Changes, changes...)
	if err != nil {
		return err
	}
	for _, f := range plan.Set {
		if f.Sent {
			if err := s.receiveProgram(ctx, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxProgramSize bounds a program, in bytes.
const maxProgramSize = 2 << 30

// changesOf returns the changes of a plan. It returns ErrProtocol, with the changes before, for a process that cannot be
// deployed, and for a SHA-256 or a size that no program has.
func changesOf(plan wire.Plan, deployables []control.Deployable) ([]audit.Change, error) {
	var changes []audit.Change
	for _, f := range plan.Set {
		d := slices.IndexFunc(deployables, func(d control.Deployable) bool { return d.Name == f.Process })
		if d < 0 || !isSum(f.SHA256) || f.Size < 0 || f.Size > maxProgramSize {
			return changes, fmt.Errorf("%w: the plan names %q with %d bytes", wire.ErrProtocol, f.Process, f.Size)
		}
		changes = append(changes, audit.Change{Process: f.Process, From: deployables[d].Current, To: audit.Release{SHA256: f.SHA256}})
	}
	return changes, nil
}

var sumForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// isSum reports whether s is a SHA-256 in hexadecimal digits, and so a safe name of a file.
func isSum(s string) bool { return sumForm.MatchString(s) }
