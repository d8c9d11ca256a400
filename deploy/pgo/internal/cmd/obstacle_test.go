package cmd

import (
	"testing"

	"pgo/deploy/pgo/internal/control"
)

func TestFindObstacle(t *testing.T) {
	tests := []struct {
		name       string
		process    control.Process
		isObstacle bool
	}{
		{"ready", control.Process{Status: control.Ready, Ready: true}, false},
		{"starting", control.Process{Status: control.Starting}, false},
		{"failed", control.Process{Status: control.Failed}, true},
		{"stopped", control.Process{Status: control.Stopped}, true},
		{"a one-shot that has ended", control.Process{Status: control.Stopped, Ready: true}, false},
		{"4 failed starts", control.Process{Status: control.BackingOff, Failures: 4}, false},
		{"5 failed starts", control.Process{Status: control.BackingOff, Failures: 5}, true},
		{"a failed reload", control.Process{Status: control.Ready, Ready: true, ReloadFailure: "exit code 1"}, true},
		{"a failed deploy", control.Process{Status: control.Ready, Ready: true, DeployFailure: "incomplete"}, true},
		{"the next reload", control.Process{Status: control.Reloading, Ready: true, ReloadFailure: "exit code 1", ReloadPending: true}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := findObstacle([]control.Process{test.process}) != nil; got != test.isObstacle {
				t.Errorf("got %v, want %v", got, test.isObstacle)
			}
		})
	}
}

func TestFindUnready(t *testing.T) {
	waiting, starting := control.Process{Name: "web", Status: control.Waiting}, control.Process{Name: "db", Status: control.Starting}
	ready := control.Process{Name: "ok", Status: control.Ready, Ready: true}
	reloading := control.Process{Name: "api", Status: control.Reloading, Ready: true, ReloadPending: true}
	tests := []struct {
		name      string
		processes []control.Process
		want      string
	}{
		{"all ready", []control.Process{ready}, ""},
		{"a cause before its effect", []control.Process{waiting, starting}, "db"},
		{"only waiting", []control.Process{ready, waiting}, "web"},
		{"a reload", []control.Process{ready, reloading}, "api"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if p := findUnready(test.processes); p != nil {
				got = p.Name
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAdviseStart(t *testing.T) {
	tests := []struct {
		process control.Process
		hasMake bool
		want    string
	}{
		{control.Process{Name: "web", Reason: "bin/web: no such file"}, true, "build or install the program, then pgo up"},
		{control.Process{Name: "web", Reason: "exit code 78"}, true, "correct the configuration that it names, then pgo up"},
		{control.Process{Name: "web", Status: control.Stopped}, true, "pgo start web"},
		{control.Process{Name: "web", Status: control.Failed, Reason: "exit code 1"}, false, "pgo logs web shows more; when the cause is gone, pgo up"},
		{control.Process{Name: "web", Status: control.Failed, Reason: "exit code 1"}, true, "pgo logs web shows more; when the cause is gone, pgo up (or make up, which also builds)"},
	}
	for _, test := range tests {
		if got := adviseStart(test.process, test.hasMake); got != test.want {
			t.Errorf("%+v: got %q, want %q", test.process, got, test.want)
		}
	}
}
