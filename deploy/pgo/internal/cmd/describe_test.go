package cmd

import (
	"bytes"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
)

func TestPrintDescription(t *testing.T) {
	var d control.Description
	d.Spec.Name, d.Spec.Command, d.Spec.Args, d.Spec.Env = "web", "bin/web", []string{"-v"}, map[string]string{"B": "***", "A_DIR": "/srv"}
	d.Spec.Logs.Split = true
	d.Rows = []control.Process{{Name: "web", PID: 12, Uptime: 3720, CPU: 1.5, Memory: 2_500_000, Restarts: 3, Status: control.Ready, ReloadFailure: "exit code 1", Listeners: map[string]string{"http": "127.0.0.1:80"}}}
	var out bytes.Buffer
	printDescription(&out, home.Home("/home"), d)
	for _, want := range []string{"command        bin/web -v\n", "pid            12\n", "log            /home/logs/web.log\n", "log of stderr  /home/logs/web.err.log\n", "uptime         1h2m\n", "cpu            1.5%\n", "memory         2.5 MB\n", "restarts       3\n", "last reload    exit code 1\n", "listener http  127.0.0.1:80\n", "environment of its own\n  A_DIR=/srv\n  B=***\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "last deploy") {
		t.Errorf("an empty row in\n%s", out.String())
	}
}
