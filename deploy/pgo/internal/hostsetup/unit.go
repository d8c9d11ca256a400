package hostsetup

import (
	"context"
	"os"
	"strings"

	"pgo/deploy/pgo/internal/systemd"
)

// writeUnit returns the Action that writes a unit file.
func (p *planner) writeUnit(u systemd.Unit) Action {
	return &file{planner: p, name: unitPath(u.Name), text: u.Content, owner: "root", mode: 0o644}
}

// unitPath returns the path of a unit's file.
func unitPath(unit string) string { return "/etc/systemd/system/" + unit }

// reloadUnits returns the Action that has systemd read a changed unit file.
func (p *planner) reloadUnits(unit string) Action {
	return &command{planner: p, args: []string{"systemctl", "daemon-reload"}, runsAfterChange: true, isDone: func(ctx context.Context) (bool, error) {
		output, err := p.Machine.Command(ctx, "systemctl", "show", "-p", "NeedDaemonReload", "--value", unit)
		return err == nil && strings.TrimSpace(output) != "yes", nil
	}}
}

// enableUnit returns the Action that has systemd start a unit with the machine.
func (p *planner) enableUnit(unit, target string) Action {
	args := []string{"systemctl", "enable", unit}
	if p.isImage() {
		args = []string{"systemctl", "--root", p.Options.Root, "enable", unit}
	}
	return &command{planner: p, args: args, isDone: func(context.Context) (bool, error) {
		_, err := os.Lstat(p.hostPath("/etc/systemd/system/" + target + ".wants/" + unit))
		return err == nil, nil
	}}
}
