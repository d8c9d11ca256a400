package cmd

import (
	"bytes"
	"testing"

	"pgo/deploy/pgo/internal/control"
)

func TestPrintProcesses(t *testing.T) {
	var out bytes.Buffer
	err := printProcesses(&env{stdout: &out}, []control.Process{
		{Name: "web", Kind: "service", Status: control.Ready, Ready: true, PID: 12, Uptime: 61, CPU: 1.25, Memory: 2_500_000, Version: "v1", Instances: 2, Instance: 1, Message: "warm"},
		{Name: "db", Kind: "infra", Status: control.BackingOff, Reason: "exit code 1", Restarts: 3, Instances: 1},
	})
	const want = "" +
		"NAME   KIND     STATUS       PID  RESTARTS  UPTIME  CPU   MEMORY  VERSION  NOTE\n" +
		"web/1  service  ready        12   0         1m1s    1.2%  2.5 MB  v1       warm\n" +
		"db     infra    backing-off  -    3         -       -     -       -        exit code 1\n"
	if err != nil || out.String() != want {
		t.Errorf("%v, got\n%swant\n%s", err, out.String(), want)
	}
}

func TestDescribeProblem(t *testing.T) {
	tests := []struct {
		name    string
		process control.Process
		note    string
		color   string
	}{
		{"ready", control.Process{Status: control.Ready, Ready: true, Reason: "took over", Message: "warm"}, "warm", "32"},
		{"not ready", control.Process{Status: control.Failed, Reason: "exit code 1", Message: "warm"}, "exit code 1; warm", "31"},
		{"a failed deploy", control.Process{Status: control.Ready, Ready: true, DeployFailure: "incomplete"}, "incomplete", "31"},
		{"a failed reload", control.Process{Status: control.Ready, Ready: true, ReloadFailure: "exit code 1"}, "not replaced: exit code 1", "31"},
		{"draining", control.Process{Status: control.Ready, Ready: true, Draining: []int{7}}, "1 draining", "32"},
		{"reloading", control.Process{Status: control.Reloading, Ready: true, ReloadPending: true}, "", "33"},
		{"stopped", control.Process{Status: control.Stopped}, "", "2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if note, color := describeProblem(test.process), statusColor(test.process); note != test.note || color != test.color {
				t.Errorf("got %q in %s, want %q in %s", note, color, test.note, test.color)
			}
		})
	}
}
