package receive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
)

// ErrLocked is the error while another deploys to the same home.
var ErrLocked = errors.New("another deploy is under way")

// lockHolder is who has the lock, as the lock's file says.
type lockHolder struct {
	Entry audit.Entry `json:"entry"`
	Since time.Time   `json:"since"`
	PID   int         `json:"pid"`
	// Before is who had it before and was killed: what became of that is not in the audit log yet.
	Before *lockHolder `json:"before,omitempty"`
}

func (h lockHolder) String() string {
	text := fmt.Sprintf("%s by %s since %s", h.Entry.Kind, h.Entry.User, h.Since.Local().Format(time.DateTime))
	if h.Entry.Addr != "" {
		text += " from " + h.Entry.Addr
	}
	if h.Entry.ClaimedUser != "" {
		text += " (says " + h.Entry.ClaimedUser + ")"
	}
	return text
}

// deployLock is the right to deploy to a home. The kernel takes it back when its process dies.
type deployLock struct {
	file   *os.File
	home   home.Home
	holder lockHolder
}

// acquireLock takes the lock. Where another has it, and there is no patience, the error is ErrLocked and says who; else
// told is called with that, once.
func acquireLock(ctx context.Context, h home.Home, me lockHolder, patient bool, told func(string) error) (*deployLock, error) {
	f, err := os.OpenFile(h.DeployLockPath(), os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, os.ErrNotExist) { // there is no home yet
		return nil, fmt.Errorf("%w for %s: start it there with pgo up", control.ErrNotRunning, h)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the home for a deploy: %w", err)
	}
	for first := true; ; first = false {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock the home for a deploy: %w", err)
		}
		other, _ := readHolder(f)
		if !patient {
			f.Close()
			return nil, fmt.Errorf("%w: %s", ErrLocked, other)
		}
		if first {
			if err := told(fmt.Sprintf("waits for another deploy: %s", other)); err != nil {
				f.Close()
				return nil, err
			}
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
	l := &deployLock{f, h, me}
	if dead, there := readHolder(f); there {
		l.holder.Before = &dead
		if dead.Entry.ID == "" { // it only looked
			l.holder.Before = dead.Before
		}
	}
	if err := l.writeHolder(&l.holder); err != nil {
		l.unlock()
		return nil, fmt.Errorf("lock the home for a deploy: %w", err)
	}
	return l, nil
}

func readHolder(f *os.File) (lockHolder, bool) {
	var h lockHolder
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	return h, err == nil && len(text) > 0 && json.Unmarshal(text, &h) == nil
}

func (l *deployLock) writeHolder(h *lockHolder) error {
	var text []byte
	if h != nil {
		var err error
		if text, err = json.Marshal(h); err != nil {
			return err
		}
	}
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt(text, 0)
	return err
}

// clearStale writes into the audit log what became of deploys whose processes were killed before the manager had them:
// nothing. What the manager had, it has written itself: it is settled by now.
func (l *deployLock) clearStale() error {
	for dead := l.holder.Before; dead != nil; dead = dead.Before {
		_, known, err := l.home.AuditLog().Find(dead.Entry.ID)
		if err == nil && !known {
			dead.Entry.Result, dead.Entry.Ended = audit.Refused, time.Now().UTC()
			dead.Entry.Reason = "its process on the host was killed before anything was changed"
			dead.Entry.Seconds = time.Since(dead.Since).Seconds()
			err = l.home.AuditLog().Append(dead.Entry)
		}
		if err != nil {
			return err // the next one tries again
		}
	}
	l.holder.Before = nil
	return l.writeHolder(&l.holder)
}

// unlock gives the lock back. What it was for is in the audit log; what is not buried yet is left to the next one.
func (l *deployLock) unlock() {
	_ = l.writeHolder(l.holder.Before)
	l.file.Close()
}

// awaitRunner returns who runs the services once it has ended what another deploy has left, and what can be deployed then.
func (s *session) awaitRunner(ctx context.Context) (runner, []control.Deployable, error) {
	if s.Options.Units == nil {
		return awaitManager(ctx, s.Options.Home)
	}
	if err := s.Options.Units.Settle(ctx); err != nil {
		return nil, nil, err
	}
	all, err := s.Options.Units.ListDeployables(ctx)
	return s.Options.Units, all, err
}

// awaitManager returns the manager once it has ended what another has left, and what can be deployed then.
func awaitManager(ctx context.Context, h home.Home) (runner, []control.Deployable, error) {
	const patience = 15 * time.Second // for a manager that is just started anew
	for end := time.Now().Add(patience); ; {
		c, err := control.Connect(ctx, h)
		if err == nil {
			all, err := c.ListDeployables(ctx)
			return c, all, err
		}
		if !errors.Is(err, control.ErrNotRunning) || time.Now().After(end) || !isKeeperRunning(h) {
			return nil, nil, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// isKeeperRunning tells whether a keeper has the home.
func isKeeperRunning(h home.Home) bool {
	f, err := h.Lock()
	if err != nil {
		return errors.Is(err, home.ErrLocked)
	}
	f.Close()
	return false
}
