// Package systemd holds what pgo knows of systemd: the units that run the processes of a process file, the units of pgo
// itself on a host, their names, and the commands that read and restart units.
//
// It writes unit files itself, since each setting that surprises carries a comment, and runs systemctl rather than speak
// D-Bus: a restart may take sudo, and reading a unit works without a bus.
package systemd

import (
	"fmt"

	"pgo/deploy/pgo/internal/processfile"
)

// Names of units that do not depend on the process file. A process's units begin with "pgo-", so none has these names.
const (
	TargetUnit   = "pgo.target"           // all exported units belong to it: they start and stop together
	RecoverUnit  = "pgo.settle.service"   // recovers a deploy that a crash of the machine interrupted
	ManagerUnit  = "pgo.service"          // runs pgo on a host that pgo host setup has set up
	FirewallUnit = "pgo-firewall.service" // loads the firewall of pgo host setup
	LimitUnit    = "pgo-limit.service"    // loads its limit of connections
)

// EnvDir is the directory of NAME.env, the file with a process's values that units must not hold.
const EnvDir = "/etc/pgo"

// UnitsOf returns the names of a process's service units, one for each instance.
func UnitsOf(p processfile.Process) []string {
	if p.Instances == 1 {
		return []string{"pgo-" + p.Name + ".service"}
	}
	var names []string
	for n := range p.Instances {
		names = append(names, fmt.Sprintf("pgo-%s-%d.service", p.Name, n))
	}
	return names
}

func socketUnitOf(p processfile.Process, l processfile.Listener) string {
	return fmt.Sprintf("pgo-%s-%s.socket", p.Name, l.Name)
}
