package ship

import (
	"context"
	"fmt"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/ship/wire"
)

// ListReleases returns the releases that a host has, and its last deploys. It returns an error that wraps ErrUnreachable if
// the host does not answer.
func ListReleases(ctx context.Context, host string, o Options) ([]release.Release, []audit.Entry, error) {
	s, err := o.dial(ctx, host, wire.Hello{Protocol: wire.Protocol, Version: o.Version, Operation: wire.OpReleases, ID: newID()})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w: %w", host, ErrUnreachable, err)
	}
	defer func() { _ = s.close() }()
	var report wire.Report
	if err := s.Conn.Receive(&report); err != nil || report.Welcome == nil {
		return nil, nil, fmt.Errorf("%s: %w: %w", host, ErrUnreachable, s.wrapError(err))
	}
	return report.Welcome.Releases, report.Welcome.Deploys, nil
}
