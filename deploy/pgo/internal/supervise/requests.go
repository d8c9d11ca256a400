package supervise

import (
	"context"
	"fmt"

	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/requests"
)

// EarlierRequests returns the reading before the last one of ObserveRequests.
func (k *Child) EarlierRequests() requests.Totals {
	k.stateMu.Lock()
	defer k.stateMu.Unlock()
	return k.requestCounts.earlier
}

// ObserveRequests reads how many requests the child has answered.
func (k *Child) ObserveRequests(ctx context.Context, from processfile.ErrorRate) {
	now, err := k.CountRequests(ctx, from)
	if err != nil {
		return // it is said while a release is on probation
	}
	k.stateMu.Lock()
	defer k.stateMu.Unlock()
	k.requestCounts = requestHistory{earlier: k.requestCounts.last, last: now}
}

// CountRequests returns how many requests the child has answered since it was started.
func (k *Child) CountRequests(ctx context.Context, from processfile.ErrorRate) (requests.Totals, error) {
	addr := k.addresses()[from.Listener]
	if addr == "" {
		return requests.Totals{}, fmt.Errorf("pid %d has no listener %s", k.Handle.PID, from.Listener)
	}
	c, err := k.deps.requestReader.Read(ctx, addr, from.Path, requests.Counter{Metric: from.Metric, Label: from.Label})
	if err != nil {
		return c, fmt.Errorf("pid %d: %w", k.Handle.PID, err)
	}
	return c, nil
}
