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

// ErrLocked is returned while another deploy to the same home is under way.
var ErrLocked = errors.New("another deploy is under way")

// lockHolder describes the session that holds the lock. It is the content of the lock file.
type lockHolder struct {
	Entry audit.Entry `json:"entry"`
	Since time.Time   `json:"since"`
	PID   int         `json:"pid"`
	// Killed is the previous holder, if it was killed and the result of its deploy is not in the audit log yet.
	Killed *lockHolder `json:"before,omitempty"`
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

// deployLock is the right to deploy to a home. The kernel releases it when its process dies.
type deployLock struct {
	file   *os.File
	home   home.Home
	holder lockHolder
}

// acquireLock takes the lock of a home. While another session holds it, acquireLock returns ErrLocked with its description,
// or, with wait, reports the description once and waits. It returns control.ErrNotRunning if there is no home.
func acquireLock(ctx context.Context, h home.Home, holder lockHolder, wait bool, report func(text string) error) (*deployLock, error) {
	f, err := os.OpenFile(h.DeployLockPath(), os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w for %s: start it there with pgo up", control.ErrNotRunning, h)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the home for a deploy: %w", err)
	}
	for isFirst := true; ; isFirst = false {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock the home for a deploy: %w", err)
		}
		other, _ := readHolder(f)
		if !wait {
			f.Close()
			return nil, fmt.Errorf("%w: %s", ErrLocked, other)
		}
		if isFirst {
			if err := report(fmt.Sprintf("waits for another deploy: %s", other)); err != nil {
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
	l := &deployLock{f, h, holder}
	if previous, ok := readHolder(f); ok { // a holder that ends by itself empties the file
		l.holder.Killed = &previous
		if previous.Entry.ID == "" { // it did not deploy
			l.holder.Killed = previous.Killed
		}
	}
	if err := l.writeHolder(&l.holder); err != nil {
		l.unlock()
		return nil, fmt.Errorf("lock the home for a deploy: %w", err)
	}
	return l, nil
}

// readHolder returns the holder that the lock file describes, and false where it describes none.
func readHolder(f *os.File) (lockHolder, bool) {
	var h lockHolder
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	return h, err == nil && len(text) > 0 && json.Unmarshal(text, &h) == nil
}

// writeHolder replaces the content of the lock file; nil empties it.
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

// clearStale adds the deploys of killed holders to the audit log as refused, unless they are in it. Its caller has waited for
// the recovery of interrupted deploys: a deploy that is not in the log by then changed nothing.
func (l *deployLock) clearStale() error {
	for stale := l.holder.Killed; stale != nil; stale = stale.Killed {
		_, known, err := l.home.AuditLog().Find(stale.Entry.ID)
		if err == nil && !known {
			stale.Entry.Result, stale.Entry.Ended = audit.Refused, time.Now().UTC()
			stale.Entry.Reason = "its process on the host was killed before anything was changed"
			stale.Entry.Seconds = time.Since(stale.Since).Seconds()
			err = l.home.AuditLog().Append(stale.Entry)
		}
		if err != nil {
			return err // the next holder tries again
		}
	}
	l.holder.Killed = nil
	return l.writeHolder(&l.holder)
}

// unlock releases the lock. It leaves killed holders that are not cleared yet to the next holder.
func (l *deployLock) unlock() {
	_ = l.writeHolder(l.holder.Killed)
	l.file.Close()
}
