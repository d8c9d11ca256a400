package cmd

import (
	"bytes"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/control"
)

func TestPrintDescription(t *testing.T) {
	var d control.Description
	d.Spec.Name, d.Spec.Command, d.Spec.Args, d.Spec.Env = "web", "bin/web", []string{"-v"}, map[string]string{"B": "***", "A_DIR": "/srv"}
	d.Rows = []control.Process{{Name: "web", PID: 12, Status: control.Ready, ReloadFailure: "exit code 1", Listeners: map[string]string{"http": "127.0.0.1:80"}}}
	var out bytes.Buffer
	printDescription(&out, d)
	for _, want := range []string{"command        bin/web -v\n", "pid            12\n", "last reload    exit code 1\n", "listener http  127.0.0.1:80\n", "environment of its own\n  A_DIR=/srv\n  B=***\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "last deploy") {
		t.Errorf("an empty row in\n%s", out.String())
	}
}
