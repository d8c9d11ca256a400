package receive

import (
	"context"
	"errors"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
)

// runner rolls out releases: pgo's manager, or systemd.
type runner interface {
	ListDeployables(ctx context.Context) ([]control.Deployable, error)
	RunRollout(ctx context.Context, request control.RolloutRequest, report func(control.Progress)) (audit.Entry, error)
}

// awaitRunner returns the runner once it has recovered an interrupted deploy, and the processes that can be deployed then.
func (s *session) awaitRunner(ctx context.Context) (runner, []control.Deployable, error) {
	if s.Options.Units == nil {
		return awaitManager(ctx, s.Options.Home)
	}
	if err := s.Options.Units.RecoverRollout(ctx); err != nil {
		return nil, nil, err
	}
	deployables, err := s.Options.Units.ListDeployables(ctx)
	return s.Options.Units, deployables, err
}

// awaitManager returns the manager once it answers, which it does after it has recovered an interrupted deploy, and the
// processes that can be deployed then.
func awaitManager(ctx context.Context, h home.Home) (runner, []control.Deployable, error) {
	const timeout = 15 * time.Second // for a manager that is just being restarted
	for end := time.Now().Add(timeout); ; {
		c, err := control.Connect(ctx, h)
		if err == nil {
			deployables, err := c.ListDeployables(ctx)
			return c, deployables, err
		}
		_, isUnreachable := errors.AsType[*control.UnreachableError](err)
		if !errors.Is(err, control.ErrNotRunning) && !isUnreachable || time.Now().After(end) || !h.IsLocked() {
			return nil, nil, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
