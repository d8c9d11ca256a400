package units

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/systemd"
)

// putBack has all run again what ran before, those first that come after others, unless a gate forbids it.
func (r *rollout) putBack(why error) audit.Entry {
	r.tell("", "back", "failed, and is put back: "+why.Error(), time.Time{})
	ctx := context.Background()
	programs := map[string]string{}
	var changed []*part
	for _, p := range slices.Backward(r.parts) {
		_ = os.Remove(staged(p.Process))
		if sum, err := systemd.HashFile(p.Process.Command); err == nil && sum == p.from.SHA256 {
			continue // it was not its turn yet
		}
		changed = append(changed, p)
		if p.from.SHA256 != "" {
			programs[p.Process.Name] = filepath.Join(r.Host.Store().Dir, p.Process.Name, p.from.SHA256)
		}
	}
	var failed []error
	if err := r.Host.AskGates(ctx, programs, false, func(string, string) {}); err != nil {
		failed = append(failed, fmt.Errorf("not put back, since %w", err))
		changed = nil
	}
	for _, p := range changed {
		began := time.Now()
		if err := r.returns(ctx, p, programs[p.Process.Name]); err != nil {
			failed = append(failed, fmt.Errorf("not all was put back: %s: release %s: %w", p.Process.Name, p.from, err))
			continue
		}
		r.tell(p.Process.Name, "back", "release "+p.from.String()+" runs again", began)
	}
	if r.entry.Kind == audit.KindDeploy {
		for _, p := range r.parts {
			if strings.Contains(why.Error(), p.to.String()) {
				_ = r.Host.Store().MarkFailed(ctx, p.Process.Name, p.to.SHA256, why.Error())
			}
		}
	}
	forget(r.Host.Home)
	if len(failed) > 0 {
		return r.ended(audit.NotRolledBack, fmt.Errorf("%w; %w", why, errors.Join(failed...)))
	}
	return r.ended(audit.RolledBack, why)
}

// returns has one process run what it ran before.
func (r *rollout) returns(ctx context.Context, p *part, program string) error {
	if program == "" {
		if err := os.Remove(p.Process.Command); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil // its unit fails, as it did before
	}
	err := stage(program, staged(p.Process))
	if err == nil {
		err = os.Rename(staged(p.Process), p.Process.Command)
	}
	if err != nil {
		return err
	}
	if r.Host.Booting {
		return nil
	}
	for _, unit := range systemd.UnitsOf(p.Process) {
		if s, err := r.Host.ShowUnit(ctx, unit); err == nil && s.Active == "active" && s.PID != 0 && s.PID == p.pids[unit] {
			continue // it was never ended
		}
		if err := r.Host.RestartUnit(p.Process, unit); err != nil {
			return err
		}
	}
	return nil
}

// journal is what the next one has to know of a rollout whose process was killed.
type journal struct {
	Entry audit.Entry    `json:"entry"`
	Since time.Time      `json:"since"`
	PIDs  map[string]int `json:"pids"` // of what ran before, by unit
}

func (r *rollout) note() error {
	j := journal{Entry: r.entry, Since: r.ask.Since, PIDs: map[string]int{}}
	for _, p := range r.parts {
		for unit, pid := range p.pids {
			j.PIDs[unit] = pid
		}
	}
	text, err := json.Marshal(j)
	if err == nil {
		err = home.ReplaceFile(r.Host.Home.UnitRolloutPath(), text)
	}
	if err != nil {
		return fmt.Errorf("write down how far the deploy is: %w", err)
	}
	return nil
}

func forget(h home.Home) { _ = os.Remove(h.UnitRolloutPath()) }

// Settle puts back what one has begun that was killed.
func (h *Host) Settle(ctx context.Context) error {
	text, err := os.ReadFile(h.Machine.Home.UnitRolloutPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var j journal
	if err == nil {
		err = json.Unmarshal(text, &j)
	}
	if err != nil {
		return fmt.Errorf("read how far the deploy before was: %w", err)
	}
	if _, known, err := h.Machine.Home.AuditLog().Find(j.Entry.ID); err != nil || known {
		forget(h.Machine.Home) // it was through
		return err
	}
	r := &rollout{Host: h.Machine, ask: control.RolloutRequest{Since: j.Since}, entry: j.Entry, tell: func(string, string, string, time.Time) {}}
	for _, c := range j.Entry.Changes {
		if spec, ok := h.Machine.FindProcess(c.Process); ok && c.From.SHA256 != c.To.SHA256 {
			r.parts = append(r.parts, &part{Process: spec, from: c.From, to: c.To, pids: j.PIDs})
		}
	}
	r.order()
	r.putBack(errors.New("its process on the host was killed in the middle of it"))
	return ctx.Err()
}
