package systemd

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
)

const (
	errorRateInterval = time.Second // between two counts of failed requests on probation
	maxUnread         = 3           // failures in a row until it is reported that the share is unknown
)

// errorRate holds the failed requests of one target.
type errorRate struct {
	baseline float64   // share of requests that failed before the release
	readAt   time.Time // the last time
	unread   int       // times in a row that they could not be counted
}

// measureBaseline measures the share of requests that fail before a release is replaced: the new one is not blamed for
// what was broken before.
func (t *target) measureBaseline(ctx context.Context) {
	if !t.process.Watch.ErrorRate.Enabled {
		return
	}
	if c, err := t.countRequests(ctx); err == nil {
		t.errors.baseline = c.ErrorShare()
	}
}

// checkErrorRate returns an error if too many requests fail on probation.
func (t *target) checkErrorRate(ctx context.Context, isOver bool) error {
	of := t.process.Watch.ErrorRate
	if !of.Enabled || !isOver && time.Since(t.errors.readAt) < errorRateInterval {
		return nil
	}
	t.errors.readAt = time.Now()
	c, err := t.countRequests(ctx)
	if err != nil {
		if t.errors.unread++; t.errors.unread == maxUnread && ctx.Err() == nil {
			t.rollout.Report(t.Name(), "probation", fmt.Sprintf("how many requests fail is not known: %v", err), time.Time{})
		}
		return nil
	}
	t.errors.unread = 0
	return c.CheckErrorShare(t.errors.baseline, of.MaxIncrease, of.MinRequests)
}

// countRequests returns what the units of the process have answered since they were started.
func (t *target) countRequests(ctx context.Context) (requests.Totals, error) {
	var sum requests.Totals
	for _, unit := range UnitsOf(t.process) {
		s, err := t.backend.machine.ShowUnit(ctx, unit)
		if err != nil {
			return sum, err
		}
		c, err := t.readRequests(ctx, s.PID)
		if err != nil {
			return sum, fmt.Errorf("%s: %w", unit, err)
		}
		sum = sum.Add(c)
	}
	return sum, nil
}

// readRequests finds the listener with a process's metrics by trying: systemd has no listener for each process alone, so
// the program binds it where its configuration says, or to a free port.
func (t *target) readRequests(ctx context.Context, pid int) (requests.Totals, error) {
	from, failed := t.process.Watch.ErrorRate, errors.New("no address is found where it shows its metrics")
	for _, addr := range proc.ListListeners(pid) {
		if slices.ContainsFunc(t.process.Listeners, func(l processfile.Listener) bool { return !l.PerInstance && hasPort(l.Addr, addr) }) {
			continue // it is for the process's users
		}
		if addr.Addr().IsUnspecified() {
			addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), addr.Port())
		}
		c, err := t.backend.reader.Read(ctx, addr.String(), from.Path, requests.Counter{Metric: from.Metric, Label: from.Label})
		if err == nil {
			return c, nil
		}
		failed = err
	}
	return requests.Totals{}, failed
}

// hasPort reports whether a listener of the process file has the port of an address.
func hasPort(listener string, addr netip.AddrPort) bool {
	at, err := netip.ParseAddrPort(listener)
	return err == nil && at.Port() == addr.Port()
}
