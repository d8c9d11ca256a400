package receive

import (
	"context"
	"errors"
	"os"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/ship/units"
)

// Recover puts back what a deploy has begun whose process was killed, where systemd runs the services. While another
// deploy is under way there is nothing to do: that one does it.
func Recover(ctx context.Context, u *units.Host) error {
	me := lockHolder{Entry: audit.Entry{Kind: "settling", User: "pgo host settle"}, Since: time.Now(), PID: os.Getpid()}
	l, err := acquireLock(ctx, u.Machine.Home, me, false, nil)
	if errors.Is(err, ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.unlock()
	if err := u.Settle(ctx); err != nil {
		return err
	}
	return l.clearStale()
}
