package units

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/requests"
	"pgo/deploy/pgo/internal/systemd"
)

// errorsOften is how often units on probation are asked how many of their requests failed.
const errorsOften = time.Second

// errorsUnread is how often in a row they do not say it, until that is told.
const errorsUnread = 3

// answered is what the units of a process have answered since they were started.
func (r *rollout) answered(ctx context.Context, p processfile.Process) (requests.Totals, error) {
	var sum requests.Totals
	for _, unit := range systemd.UnitsOf(p) {
		s, err := r.Host.ShowUnit(ctx, unit)
		if err != nil {
			return sum, err
		}
		c, err := r.answeredBy(ctx, p, s.PID)
		if err != nil {
			return sum, fmt.Errorf("%s: %w", unit, err)
		}
		sum = sum.Add(c)
	}
	return sum, nil
}

// answeredBy finds by itself where a process shows its metrics: systemd has nothing for a listener of each process's own,
// so that is bound by the program, where its configuration says, or where there is room.
func (r *rollout) answeredBy(ctx context.Context, p processfile.Process, pid int) (requests.Totals, error) {
	from, failed := p.Watch.ErrorRate, errors.New("no address is found where it shows its metrics")
	for _, addr := range proc.ListListeners(pid) {
		if slices.ContainsFunc(p.Listeners, func(l processfile.Listener) bool { return !l.PerInstance && isAt(l.Addr, addr) }) {
			continue // that is for its users
		}
		if addr.Addr().IsUnspecified() {
			addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), addr.Port())
		}
		c, err := r.counts.Read(ctx, addr.String(), from.Path, requests.Counter{Metric: from.Metric, Label: from.Label})
		if err == nil {
			return c, nil
		}
		failed = err
	}
	return requests.Totals{}, failed
}

// isAt tells whether a listener of the process file is this one, as far as the port tells.
func isAt(listener string, addr netip.AddrPort) bool {
	at, err := netip.ParseAddrPort(listener)
	return err == nil && at.Port() == addr.Port()
}

// remember finds out how many requests fail before a release is replaced: it is not blamed for what was broken before.
func (r *rollout) remember(ctx context.Context, p *part) {
	if !p.Process.Watch.ErrorRate.Enabled {
		return
	}
	if c, err := r.answered(ctx, p.Process); err == nil {
		p.before = c.ErrorShare()
	}
}

// answersWell is an error where too many requests fail on probation.
func (r *rollout) answersWell(ctx context.Context, p *part, over bool) error {
	of := p.Process.Watch.ErrorRate
	if !of.Enabled || !over && time.Since(p.asked) < errorsOften {
		return nil
	}
	p.asked = time.Now()
	c, err := r.answered(ctx, p.Process)
	if err != nil {
		if p.unread++; p.unread == errorsUnread && ctx.Err() == nil {
			r.tell(p.Process.Name, "probation", fmt.Sprintf("how many requests fail is not known: %v", err), time.Time{})
		}
		return nil
	}
	p.unread = 0
	return c.CheckErrorShare(p.before, of.MaxIncrease, of.MinRequests)
}
