package systemd

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgo/deploy/pgo/internal/processfile"
)

// UnitState holds the properties of a unit that a deploy looks at. The strings are systemd's own words.
type UnitState struct {
	Load, Active, Result string
	Restarts             int   // how often systemd restarted it since it was last started by a command
	PID                  int   // of its main process; 0 where none runs
	Memory               int64 // in bytes; 0 where systemd does not account for it
}

// ShowUnit returns the state of a unit. It needs no rights. A unit that does not exist is no error: its Load is not-found.
func (m *Machine) ShowUnit(ctx context.Context, unit string) (UnitState, error) {
	cmd := exec.CommandContext(ctx, "systemctl", "show", "-p", "LoadState,ActiveState,Result,NRestarts,MainPID,MemoryCurrent", unit)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return UnitState{}, fmt.Errorf("read the state of %s: %w: %s", unit, err, strings.TrimSpace(string(output)))
	}
	return parseState(string(output)), nil
}

// parseState reads the output of systemctl show. A number that is not set, printed as [not set] or, for memory by
// an old systemd, as 2^64-1, reads as 0.
func parseState(output string) UnitState {
	properties := map[string]string{}
	for line := range strings.Lines(output) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		properties[key] = value
	}
	s := UnitState{Load: properties["LoadState"], Active: properties["ActiveState"], Result: properties["Result"]}
	s.Restarts, _ = strconv.Atoi(properties["NRestarts"])
	s.PID, _ = strconv.Atoi(properties["MainPID"])
	if n, err := strconv.ParseInt(properties["MemoryCurrent"], 10, 64); err == nil {
		s.Memory = n
	}
	return s
}

// RestartUnit restarts a unit of a process and returns when the unit is ready. It takes no context: a restart that is cut
// short could not be told from one that failed. It ends 10 s after the process's stop and ready timeouts.
func (m *Machine) RestartUnit(p processfile.Process, unit string) error {
	ctx, cancel := context.WithTimeout(context.Background(), p.Stop.Timeout+p.Readiness.Timeout+10*time.Second)
	defer cancel()
	command := append(slices.Clone(m.Systemctl), "restart", unit)
	output, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		reason, _, _ := strings.Cut(strings.TrimSpace(string(output)), "\n")
		return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, reason)
	}
	return nil
}

// JournalTail returns the last ten log lines of a unit, or nil where this user may not read the journal.
func JournalTail(unit string) []string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	output, err := exec.CommandContext(ctx, "journalctl", "-q", "-u", unit, "-n", "10", "-o", "cat", "--no-pager").Output()
	if err != nil || len(output) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(output)), "\n")
}
