package systemd

import (
	"os"

	"pgo/deploy/pgo/internal/processfile"
)

// asDeployer returns a process as the deploying user can run its program. Only root may become another user and raise limits:
// every other user runs it as itself, with its own limits. The program of another user has to reach the releases of the home.
func (m *Machine) asDeployer(p processfile.Process) (processfile.Process, error) {
	if os.Geteuid() != 0 {
		p.User, p.Group, p.Limits = "", "", processfile.Limits{NoNewPrivileges: p.Limits.NoNewPrivileges}
		return p, nil
	}
	if p.User != "" {
		return p, m.Home.AllowTraversal()
	}
	return p, nil
}
