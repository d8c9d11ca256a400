package receive

import (
	"context"
	"errors"
	"os"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/systemd"
)

// Recover rolls back a deploy whose process was killed, where systemd runs the services. While another deploy is under way it
// does nothing: that one has recovered it.
func Recover(ctx context.Context, m *systemd.Machine) error {
	holder := lockHolder{Entry: audit.Entry{Kind: "recovery", User: "pgo host recover"}, Since: time.Now(), PID: os.Getpid()}
	l, err := acquireLock(ctx, m.Home, holder, false, nil)
	if errors.Is(err, ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.unlock()
	if err := m.RecoverRollout(ctx); err != nil {
		return err
	}
	return l.clearStale()
}
