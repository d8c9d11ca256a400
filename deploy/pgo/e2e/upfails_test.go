package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgo/deploy/pgo/internal/control"
)

func TestUpFails(t *testing.T) {
	t.Parallel()
	noise := ""
	for i := range 20 {
		noise += fmt.Sprintf("print=line-%d, ", i)
	}
	tests := []struct {
		name, processes string
		status          control.State
		want            []string
	}{
		{"a final exit code", `{command: ACTOR, args: [actor, ` + noise + `exit=65], ready: {notify: true}, restart: {final_exit_codes: [65]}}`,
			control.Failed, []string{"p is not ready: failed: exit code 65", "| line-5\n", "| line-19\n", "try: "}},
		{"bad configuration", `{command: ACTOR, args: [actor, need=DIR/nothing], ready: {notify: true}, restart: {final_exit_codes: [78]}}`,
			control.Failed, []string{"exit code 78", "| there is no ", "try: correct the configuration"}},
		{"no such program", `{command: bin/nothing}`,
			control.Failed, []string{"bin/nothing: no such file", "wrote nothing", "try: build"}},
		{"a program that is not in PATH", `{command: no-such-program}`,
			control.Failed, []string{"no-such-program: not found in PATH"}},
		{"a file that is not a program", `{command: configs/pgo.yaml}`,
			control.Failed, []string{"not an executable file"}},
		{"a program of another format", `{command: ./garbage}`,
			control.Failed, []string{"exec format error"}},
		{"a directory that is missing", `{command: ACTOR, args: [actor], cwd: nowhere}`,
			control.Failed, []string{"/nowhere: no such directory"}},
		{"a script without its interpreter", `{command: ./script}`,
			control.Failed, []string{`the interpreter "/no/such/shell" in the first line of `, "/script cannot be executed"}},
		{"a script of another system", `{command: ./crlf}`,
			control.Failed, []string{"the first line of ", `/crlf ends with CR LF, as on Windows, so its interpreter is "/bin/sh\r": save it with LF`}},
		{"never ready", `{command: ACTOR, args: [actor], ready: {notify: true, within: 50ms}}`,
			control.BackingOff, []string{"backing-off: not ready within 50ms: it never sent READY=1"}},
		{"nothing listens", `{command: ACTOR, args: [actor], ready: {tcp: "127.0.0.1:1", within: 300ms}}`,
			control.BackingOff, []string{"not ready within 300ms", "connection refused"}},
		{"crashes at once", `{command: ACTOR, args: [actor, print=oops, exit=3], ready: {notify: true}}`,
			control.BackingOff, []string{"exit code 3; next start in", "| oops"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, "  p: "+test.processes+"\n  q: {command: ACTOR, args: [actor], after: [p]}\n")
			for name, text := range map[string]string{"garbage": "\x7fELF nonsense", "script": "#!/no/such/shell -e\necho\n", "crlf": "#!/bin/sh\r\necho\r\n"} {
				if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			s.assertFails(exitFailed, test.want, "up")
			list := s.listByName()
			if p := list["p"]; p.Ready || test.status == control.Failed && p.Status != control.Failed {
				t.Errorf("p: %+v", p)
			}
			if q := list["q"]; q.Status != control.Waiting || q.PID != 0 {
				t.Errorf("q did not wait: %+v", q)
			}
		})
	}
}

// The lines that are shown for a start that failed are of that start: none where no process ran.
func TestLastLinesAreOfTheFailedStart(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "  p: {command: ACTOR, args: [actor, print=of-an-earlier-start, ready], ready: {notify: true}}\n")
	s.mustRun("up")
	s.writeProcessFile("  p: {command: bin/nothing}\n")
	code, out := s.runPgo("up")
	if code != exitFailed || !strings.Contains(out, "it wrote nothing to its log") || strings.Contains(out, "of-an-earlier-start") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if strings.Contains(out, "make up") {
		t.Errorf("it names make targets of another repository:\n%s", out)
	}
}

func TestGateThatFailedIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  gate: {kind: gate, command: ACTOR, args: [actor, "need=DIR/fixed", ready], ready: {notify: true}, restart: {final_exit_codes: [78]}}
  web: {command: ACTOR, args: [actor], after: [gate]}
`)
	s.assertFails(exitFailed, []string{"gate is not ready: failed"}, "up")
	if p := s.awaitState("web", control.Waiting); p.Reason != "for gate, which is failed" {
		t.Errorf("reason: %s", p.Reason)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "fixed"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.mustRun("up")
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newSandbox(t, `
  other: {command: ACTOR, args: [actor]}
  web: {command: ACTOR, args: [actor], listeners: {http: "`+l.Addr().String()+`"}}
`)
	want := []string{"web: listener http: " + l.Addr().String() + " is in use by ", fmt.Sprintf("(pid %d)", os.Getpid()), "PORT_OFFSET"}
	s.assertFails(exitFailed, want, "up")
	if left := s.findProcesses(); len(left) != 0 {
		t.Errorf("something was started all the same: %v", left)
	}
	s.writeProcessFile("  other: {command: ACTOR, args: [actor]}\n")
	s.mustRun("up")
	before := s.listByName()["other"].PID
	s.writeProcessFile("  web: {command: ACTOR, args: [actor], listeners: {http: \"" + l.Addr().String() + "\"}}\n")
	s.assertFails(exitFailed, want, "up")
	if p := s.listByName()["other"]; p.PID != before || !p.Ready {
		t.Errorf("a file that could not be applied changed something: %+v", p)
	}
}

func TestUnwritableHome(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "  p: {command: ACTOR}\n")
	file := filepath.Join(s.dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.assertFails(exitFailed, []string{file, "set PGO_HOME"}, "up", "--home", filepath.Join(file, "home"))
	// Not even root may write there.
	s.assertFails(exitFailed, []string{"/proc/pgo", "set PGO_HOME"}, "up", "--home", "/proc/pgo")
}

func TestBadProcessFile(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "  p: {command: ACTOR, reddy: true}\n")
	for _, verb := range []string{"up", "check"} {
		s.assertFails(exitConfig, []string{"configs/pgo.yaml:3:", ": processes.p.reddy: unknown key; known keys are after, args, "}, verb)
	}
	if s.readFile(".pgo/logs/pgo.log") != "" {
		t.Error("a manager was started")
	}
	s.assertFails(exitConfig, []string{"nothing.yaml: no such file"}, "check", "--file", "nothing.yaml")
	s.writeProcessFile("  p: {command: ACTOR}\n")
	if out := s.mustRun("check"); !strings.HasSuffix(out, "is valid: 1 process\n") {
		t.Error(out)
	}
}

func TestTwoKeepersOnOneHome(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "  p: {command: ACTOR, args: [actor]}\n")
	// Both see that none runs; one of them starts it.
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { s.mustRun("up") })
	}
	both.Wait()
	keepers := 0
	for _, cmdline := range s.findProcesses() {
		if strings.Contains(cmdline, " keeper ") {
			keepers++
		}
	}
	if keepers != 1 {
		t.Errorf("%d keepers: %v", keepers, s.findProcesses())
	}
	s.assertFails(exitUnavailable, []string{"a manager already runs on this home"}, "up", "--foreground")
	if !s.listByName()["p"].Ready {
		t.Error("the second manager disturbed the first")
	}
}
