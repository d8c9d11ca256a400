package systemd

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseState(t *testing.T) {
	tests := []struct {
		name, output string
		want         UnitState
	}{
		{
			"running", "Result=success\nNRestarts=2\nMainPID=4711\nMemoryCurrent=1048576\nLoadState=loaded\nActiveState=active\n",
			UnitState{Load: "loaded", Active: "active", Result: "success", Restarts: 2, PID: 4711, Memory: 1 << 20},
		},
		{
			"memory is not set", "LoadState=loaded\nActiveState=inactive\nMainPID=0\nMemoryCurrent=[not set]\n",
			UnitState{Load: "loaded", Active: "inactive"},
		},
		{
			"memory is not set, as old versions print it", "LoadState=loaded\nActiveState=active\nMemoryCurrent=18446744073709551615\n",
			UnitState{Load: "loaded", Active: "active"},
		},
		{"unknown unit", "LoadState=not-found\nActiveState=inactive\nResult=success\n", UnitState{Load: "not-found", Active: "inactive", Result: "success"}},
		{"no output", "", UnitState{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, parseState(test.output)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
