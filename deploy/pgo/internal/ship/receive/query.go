package receive

import (
	"context"
	"errors"
	"os"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/ship/wire"
)

// sendReleases sends all releases of the store, and the last deploys.
func (s *session) sendReleases(welcome wire.Welcome) error {
	store := release.Store{Dir: s.Options.Home.ReleaseDir()}
	names, err := store.ProcessNames()
	if err != nil {
		return err
	}
	for _, name := range names {
		releases, err := store.List(name)
		if err != nil {
			return err
		}
		welcome.Releases = append(welcome.Releases, releases...)
	}
	if welcome.Deploys, err = s.Options.Home.AuditLog().List(); err != nil {
		return err
	}
	welcome.Deploys = welcome.Deploys[:min(maxDeploys, len(welcome.Deploys))]
	return s.conn.Send(wire.Report{Welcome: &welcome})
}

// maxDeploys bounds the entries of the audit log that sendReleases sends.
const maxDeploys = 20

// sendOutcome sends the result of a deploy whose session was lost, once it has ended.
func (s *session) sendOutcome(ctx context.Context, welcome wire.Welcome) error {
	holder := lockHolder{Entry: audit.Entry{Kind: "query", User: s.entry.User}, Since: s.startedAt, PID: os.Getpid()}
	l, err := acquireLock(ctx, s.Options.Home, holder, true, func(string) error { return nil })
	if err != nil {
		return err
	}
	defer l.unlock()
	_, _, err = s.awaitRunner(ctx)
	if err == nil {
		err = l.clearStale()
	}
	if err != nil && !errors.Is(err, control.ErrNotRunning) {
		return err
	}
	e, known, err := s.Options.Home.AuditLog().Find(s.hello.ID)
	if err != nil {
		return err
	}
	if known {
		welcome.Deploys = []audit.Entry{e}
	}
	return s.conn.Send(wire.Report{Welcome: &welcome})
}
