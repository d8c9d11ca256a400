package systemd

import (
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/rollout"
)

func TestJudgeProbation(t *testing.T) {
	tests := []struct {
		name   string
		state  UnitState
		limit  int64
		isOver bool
		want   string
	}{
		{"active", UnitState{Active: "active"}, 0, true, ""},
		{"restarted once", UnitState{Active: "active", Restarts: 1}, 0, true, ""},
		{"restarted twice", UnitState{Active: "active", Restarts: 2}, 0, false, "ended 2 times"},
		{"failed", UnitState{Active: "failed", Result: "exit-code"}, 0, false, "has failed (exit-code)"},
		{"being restarted", UnitState{Active: "activating"}, 0, false, ""},
		{"being restarted at the end", UnitState{Active: "activating"}, 0, true, "is activating at the end"},
		{"at its memory limit", UnitState{Active: "active", Memory: 100}, 100, true, ""},
		{"over its memory limit", UnitState{Active: "active", Memory: 101}, 100, false, "uses 101 bytes of memory"},
		{"without a memory limit", UnitState{Active: "active", Memory: 1 << 40}, 0, true, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.state.judgeProbation("pgo-user.service", test.limit, test.isOver)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// Units are restarted one after the other, each after those that its process depends on.
func TestLevels(t *testing.T) {
	b := newBackend(&Machine{File: processfile.File{Processes: []processfile.Process{
		{Name: "gateway", After: []string{"task", "user"}}, {Name: "task", After: []string{"user"}}, {Name: "user", After: []string{"gate"}}, {Name: "gate"},
	}}})
	var targets []rollout.Target
	for _, p := range b.machine.File.Processes[:3] {
		targets = append(targets, &target{process: p})
	}
	var order []string
	for _, level := range b.Levels(targets) {
		if len(level) != 1 {
			t.Errorf("%d targets at once", len(level))
		}
		order = append(order, level[0].Name())
	}
	if got := strings.Join(order, " "); got != "user task gateway" {
		t.Errorf("order %s", got)
	}
}
