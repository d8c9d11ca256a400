// Package units has releases run where systemd runs the services, by the units that `pgo export systemd` makes: the other
// end of a deploy where no pgo runs. systemd starts nothing beside what runs: it holds the listening sockets, so
// connections wait while a service is restarted.
package units

import (
	"context"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/systemd"
)

// Host deploys to a machine whose systemd runs what a process file lists. Its caller holds the deploy lock of the home.
type Host struct{ Machine *systemd.Machine }

// ListDeployables returns the processes that can be deployed.
func (h *Host) ListDeployables(ctx context.Context) ([]control.Deployable, error) {
	return h.Machine.ListDeployables(ctx)
}
