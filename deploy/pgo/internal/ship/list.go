package ship

import (
	"context"
	"fmt"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/ship/wire"
)

// ListReleases returns what a host has, and what was deployed to it last.
func ListReleases(ctx context.Context, host string, o Options) ([]release.Release, []audit.Entry, error) {
	s, err := o.dial(ctx, host, wire.Hello{Protocol: wire.Protocol, Version: o.Version, Operation: wire.OpReleases, ID: newID()})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w: %w", host, ErrUnreachable, err)
	}
	defer func() { _ = s.close() }()
	var said wire.Report
	if err := s.Conn.Receive(&said); err != nil || said.Welcome == nil {
		return nil, nil, fmt.Errorf("%s: %w: %w", host, ErrUnreachable, s.wrapError(err))
	}
	return said.Welcome.Releases, said.Welcome.Deploys, nil
}
