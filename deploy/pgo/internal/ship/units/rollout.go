package units

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/requests"
	"pgo/deploy/pgo/internal/systemd"
)

// byCommand is why a release is marked bad that a person has left.
const byCommand = "rolled back by command"

// strikes is how often a unit may be started anew by itself while its release is on probation.
const strikes = 2

// rollout is one on its way.
type rollout struct {
	Host   *systemd.Machine
	ask    control.RolloutRequest
	entry  audit.Entry
	parts  []*part
	counts *requests.Reader
	tell   func(process, step, text string, began time.Time)
}

// part is one process of which something is to change.
type part struct {
	Process  processfile.Process
	from, to audit.Release
	path     string         // of the new program, in the store
	pids     map[string]int // what ran before, by unit
	before   float64        // the share of requests that failed before
	asked    time.Time      // when it was asked last how many fail
	unread   int            // times in a row that it did not say
}

// RunRollout has a set of releases run, all of them or none, and returns what became of it: that is in the audit log then.
// Where ctx ends before the set has proven itself, all is put back.
func (h *Host) RunRollout(ctx context.Context, ask control.RolloutRequest, tell func(control.Progress)) (audit.Entry, error) {
	r := &rollout{Host: h.Machine, ask: ask, entry: ask.Entry, counts: requests.NewReader(), tell: func(process, step, text string, began time.Time) {
		p := control.Progress{Process: process, Step: step, Text: text}
		if !began.IsZero() {
			p.Seconds = time.Since(began).Seconds()
		}
		tell(p)
	}}
	err := r.prepare(ctx)
	if err != nil {
		r.unstage()
		return r.ended(audit.Refused, err), nil
	}
	if ask.CheckOnly || len(r.parts) == 0 {
		return r.ended(audit.Done, nil), nil
	}
	if err = r.advance(ctx); err == nil && r.entry.Kind == audit.KindDeploy {
		err = r.endure(ctx)
	}
	if err != nil {
		return r.putBack(err), nil
	}
	r.commit()
	return r.ended(audit.Done, nil), nil
}

// advance has the set run, unit by unit.
func (r *rollout) advance(ctx context.Context) error {
	for _, p := range r.parts {
		if ctx.Err() != nil {
			return lost(ctx)
		}
		began := time.Now()
		r.remember(ctx, p)
		if err := os.Rename(staged(p.Process), p.Process.Command); err != nil {
			return fmt.Errorf("put a release to where it is deployed: %w", err)
		}
		for _, unit := range systemd.UnitsOf(p.Process) {
			if err := r.Host.RestartUnit(p.Process, unit); err != nil {
				for _, line := range systemd.JournalTail(unit) {
					r.tell(p.Process.Name, "log", line, time.Time{})
				}
				return fmt.Errorf("%s: release %s: %w", p.Process.Name, p.to, err)
			}
		}
		r.tell(p.Process.Name, "runs", "release "+p.to.String()+" answers", began)
	}
	return nil
}

// endure looks at all until each has run for its probation.
func (r *rollout) endure(ctx context.Context) error {
	const every = 200 * time.Millisecond
	longest := time.Duration(0)
	for _, p := range r.parts {
		longest = max(longest, p.Process.Watch.Probation)
	}
	for end := time.Now().Add(longest); ; {
		over := time.Now().After(end)
		for _, p := range r.parts {
			for _, unit := range systemd.UnitsOf(p.Process) {
				if err := r.wellIs(ctx, p, unit, over); err != nil {
					for _, line := range systemd.JournalTail(unit) {
						r.tell(p.Process.Name, "log", line, time.Time{})
					}
					return fmt.Errorf("%s: release %s: %w", p.Process.Name, p.to, err)
				}
			}
			if err := r.answersWell(ctx, p, over); err != nil {
				return fmt.Errorf("%s: release %s: %w", p.Process.Name, p.to, err)
			}
		}
		if over {
			return nil
		}
		select {
		case <-ctx.Done():
			return lost(ctx)
		case <-time.After(min(every, time.Until(end)+time.Millisecond)):
		}
	}
}

// wellIs is an error where a unit does not do well on probation. At the end of it, it has to serve.
func (r *rollout) wellIs(ctx context.Context, p *part, unit string, over bool) error {
	s, err := r.Host.ShowUnit(ctx, unit)
	if ctx.Err() != nil {
		return lost(ctx)
	}
	switch {
	case err != nil:
		return err
	case s.Active == "failed":
		return fmt.Errorf("%s has failed (%s) while it was on probation", unit, s.Result)
	case s.Restarts >= strikes:
		return fmt.Errorf("%s ended %d times while it was on probation", unit, s.Restarts)
	case p.Process.Limits.Memory > 0 && s.Memory > p.Process.Limits.Memory:
		return fmt.Errorf("%s uses %d bytes of memory, and limits.memory is %d", unit, s.Memory, p.Process.Limits.Memory)
	case over && s.Active != "active":
		return fmt.Errorf("%s is %s at the end of its probation", unit, s.Active)
	}
	return nil
}

// commit writes down that the set is live.
func (r *rollout) commit() {
	ctx := context.Background()
	for _, p := range r.parts {
		// On a full disk the marks stay as they were: what runs is more important.
		_ = r.Host.Store().SetCurrent(ctx, p.Process.Name, p.to.SHA256)
		if r.entry.Kind == audit.KindDeploy {
			_ = r.Host.Store().MarkPassed(ctx, p.Process.Name, p.to.SHA256)
			r.tell(p.Process.Name, "good", "release "+p.to.String()+" has proven itself", time.Time{})
		} else {
			_ = r.Host.Store().MarkFailed(ctx, p.Process.Name, p.from.SHA256, byCommand)
		}
	}
	forget(r.Host.Home)
}

// ended writes down what became of it.
func (r *rollout) ended(result audit.Result, why error) audit.Entry {
	r.entry.Result, r.entry.Ended = result, time.Now().UTC()
	r.entry.Seconds = time.Since(r.ask.Since).Seconds()
	if why != nil {
		r.entry.Reason = why.Error()
	}
	if !r.ask.CheckOnly {
		if err := r.Host.Home.AuditLog().Append(r.entry); err != nil {
			r.entry.Reason = strings.TrimPrefix(r.entry.Reason+"; "+err.Error(), "; ")
		}
	}
	return r.entry
}
