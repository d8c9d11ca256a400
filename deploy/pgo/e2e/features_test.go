package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/proc"
)

func TestRestartPolicies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, process string
		status        control.State
		reason        string
		restarts      int
	}{
		{"always", `{command: ACTOR, args: [actor, "once=DIR/x", ready], ready: {notify: true}, restart: {policy: always}}`, control.Ready, "", 1},
		{"on-failure after 0", `{command: ACTOR, args: [actor, exit=0], restart: {policy: on-failure}}`, control.Stopped, "exit code 0", 0},
		{"on-failure after 1", `{command: ACTOR, args: [actor, "once=DIR/x", ready], ready: {notify: true}, restart: {policy: on-failure}}`, control.Ready, "", 1},
		{"never after 0", `{command: ACTOR, args: [actor, exit=0], restart: {policy: never}}`, control.Stopped, "exit code 0", 0},
		{"never after 1", `{command: ACTOR, args: [actor, exit=1], restart: {policy: never}}`, control.Failed, "exit code 1", 0},
		{"a limit", `{command: ACTOR, args: [actor, exit=1], restart: {limit: 2, first_wait: 10ms}}`, control.Failed, "exit code 1; started again 2 times within 1m0s", 2},
		{"a one-shot", `{kind: one-shot, command: ACTOR, args: [actor, exit=0]}`, control.Stopped, "exit code 0", 0},
		{"a one-shot that fails once", `{kind: one-shot, command: ACTOR, args: [actor, "once=DIR/x", exit=0]}`, control.Stopped, "exit code 0", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, "  p: "+test.process+"\n")
			s.runPgo("up")
			p := s.awaitState("p", test.status)
			if p.Reason != test.reason || p.Restarts != test.restarts {
				t.Errorf("got %q, %d restarts: %+v", p.Reason, p.Restarts, p)
			}
			if one := strings.Contains(test.process, "one-shot"); one != (p.Ready && p.PID == 0) && test.status == control.Stopped {
				t.Errorf("ready: %+v", p)
			}
		})
	}
}

// A process after a one-shot waits for the one-shot's end, and a second up does not run that again.
func TestOneShot(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  init: {kind: one-shot, command: ACTOR, args: [actor, "record=DIR/order:init", "await=DIR/go", exit=0]}
  web: {command: ACTOR, args: [actor, "record=DIR/order:web"], after: [init]}
`)
	up := s.newCommand("up")
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "init runs", func() error {
		if s.readFile("order") == "" {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	s.awaitState("web", control.Waiting)
	touchFile(t, filepath.Join(s.dir, "go"))
	if err := up.Wait(); err != nil {
		t.Fatal(err)
	}
	s.mustRun("up")
	s.killManager()
	s.mustRun("up")
	if got := s.readFile("order"); got != "start init\nstart web\n" {
		t.Errorf("order:\n%s", got)
	}
	s.mustRun("start", "init")
	if got := strings.Count(s.readFile("order"), "start init"); got != 2 {
		t.Errorf("init ran %d times after pgo start", got)
	}
}

// A process that hangs is detected and restarted.
func TestLiveness(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, process, want, cause, otherCause string }{
		{"watchdog", `{command: ACTOR, args: [actor, "pings=DIR/hung", ready], ready: {notify: true}, watchdog: 200ms}`, "no WATCHDOG=1 within 200ms", "watchdog", "liveness"},
		{"a command", `{command: ACTOR, args: [actor], live: {exec: [test, "!", -e, "DIR/hung"], every: 50ms, failures: 2}}`, "not alive, asked 2 times: test: exit status 1", "liveness", "watchdog"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newHTTPStack(t, "  p: "+test.process+"\n")
			s.mustRun("up")
			before := s.listByName()["p"]
			touchFile(t, filepath.Join(s.dir, "hung"))
			eventually(t, "it is restarted", func() error {
				if p := s.listByName()["p"]; p.PID == before.PID || p.PID == 0 {
					return fmt.Errorf("%+v", p)
				}
				return nil
			})
			if err := os.Remove(filepath.Join(s.dir, "hung")); err != nil {
				t.Fatal(err)
			}
			s.awaitState("p", control.Ready)
			if events := s.mustRun("events"); !strings.Contains(events, test.want) {
				t.Errorf("events:\n%s", events)
			}
			const kills = `pgo_process_kills_total{name="p",instance="0",cause="%s"}`
			metrics := s.mustGetPage("/metrics")
			if n := metricValue(t, metrics, fmt.Sprintf(kills, test.cause)); n < 1 {
				t.Errorf("%v kills by the %s are counted", n, test.cause)
			}
			if n := metricValue(t, metrics, fmt.Sprintf(kills, test.otherCause)); n != 0 {
				t.Errorf("%v kills by the %s are counted", n, test.otherCause)
			}
		})
	}
}

// A frozen process reacts to no signal but SIGKILL: it is replaced without waiting for its stop timeout.
func TestFrozenProcessIsReplaced(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `  p: {command: ACTOR, args: [actor, "pings=DIR/hung", ready], ready: {notify: true}, watchdog: 1s, stop: {timeout: 1h}}`+"\n")
	s.mustRun("up")
	before := s.listByName()["p"]
	if err := syscall.Kill(before.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is replaced", func() error {
		if p := s.listByName()["p"]; p.PID == before.PID || !p.Ready {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	if events := s.mustRun("events"); !strings.Contains(events, "no WATCHDOG=1 within 1s") {
		t.Errorf("events:\n%s", events)
	}
}

func TestReadyByACommand(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  p: {command: ACTOR, args: [actor], ready: {exec: [cat, "DIR/file"], within: 2m}}
  q: {command: ACTOR, args: [actor], ready: {exec: [sh, -c, "echo not today; exit 3"], within: 5s}}
`)
	s.assertFails(exitFailed, []string{"q is not ready", "not ready within 5s: sh: exit status 3: not today"}, "up")
	if p := s.listByName()["p"]; p.Ready {
		t.Errorf("p: %+v", p)
	}
	touchFile(t, filepath.Join(s.dir, "file"))
	s.awaitState("p", control.Ready)
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  p:
    command: sh
    args: [-c, "pwd; echo $A $B $C $PGO_INSTANCE; ulimit -n; nice; cat /proc/self/oom_score_adj; grep NoNewPrivs /proc/self/status; exec sleep 1000"]
    cwd: sub
    env_files: [a.env, b.env]
    env: {C: own, DB_PASSWORD: hunter22, OPTIONS: "--password=hunter22"}
    limits: {files: 123, nice: 5, oom_score_adj: 300, no_new_privileges: true}
`)
	if err := os.Mkdir(filepath.Join(s.dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"a.env": "A=one\nB=one\nC=one\n", "b.env": "B=two\n"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.mustRun("up")
	want := filepath.Join(s.dir, "sub") + "\none two own 0\n123\n5\n300\nNoNewPrivs:\t1\n"
	eventually(t, "its log", func() error {
		if got := s.readFile(".pgo/logs/p.log"); got != want {
			return fmt.Errorf("got %q, want %q", got, want)
		}
		return nil
	})
	for _, args := range [][]string{{"describe", "p"}, {"describe", "p", "--json"}} {
		if out := s.mustRun(args...); strings.Contains(out, "hunter22") || !strings.Contains(out, "own") {
			t.Errorf("%v shows a secret, or not all of the rest:\n%s", args, out)
		}
	}
	if out := s.mustRun("describe", "p", "--show-env"); !strings.Contains(out, "DB_PASSWORD=hunter22") {
		t.Errorf("describe --show-env:\n%s", out)
	}
}

// It takes root to set a user.
func TestUser(t *testing.T) {
	t.Parallel()
	process := `  p: {command: ACTOR, args: [actor, print=hello, ready], ready: {notify: true}, user: nobody}` + "\n"
	s := newSandbox(t, process)
	if os.Geteuid() != 0 {
		s.assertFails(exitFailed, []string{"operation not permitted"}, "up")
		return
	}
	s.openToUsers()
	s.mustRun("up")
	p := s.listByName()["p"]
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil || !strings.Contains(string(status), "Uid:\t65534\t65534\t65534") || s.readFile(".pgo/logs/p.log") != "hello\n" {
		t.Errorf("%v\n%s", err, status)
	}
	s.writeProcessFile(strings.ReplaceAll(process, "nobody", "no-such-user"))
	s.assertFails(exitFailed, []string{"user no-such-user: there is none of this name or number"}, "up")
}

func TestScale(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, strings.ReplaceAll(webProcess, "N}", "2}"))
	s.mustRun("up")
	before := s.listInstances()
	l := startLoad(t, "http://"+before[0].Listeners["http"])
	s.mustRun("scale", "web", "4")
	if rows := s.listInstances(); len(rows) != 4 || rows[0].PID != before[0].PID || !rows[3].Ready || rows[3].Instance != 3 {
		t.Errorf("scaled to 4: %+v", rows)
	}
	s.killManager()
	s.mustRun("scale", "web", "1")
	if rows := s.listInstances(); len(rows) != 1 || rows[0].PID != before[0].PID || isAlive(before[1].PID) {
		t.Errorf("scaled to 1: %+v", rows)
	}
	s.mustRun("up") // as in the process file
	if rows := s.listInstances(); len(rows) != 2 || rows[0].PID != before[0].PID {
		t.Errorf("after up: %+v", rows)
	}
	l.assertNoFailures(t)
	s.assertFails(exitFailed, []string{"expected 1 to 64"}, "scale", "web", "0")
	s.assertFails(exitUsage, []string{"expected a number of instances"}, "scale", "web", "many")
	s.assertFails(exitFailed, []string{"there is no process"}, "scale", "wbe", "2")
}

func TestApply(t *testing.T) {
	t.Parallel()
	file := `
  db: {kind: infra, command: ACTOR, args: [actor]}
  web: {command: ACTOR, args: [actor, web, ready], after: [db], listeners: {http: "127.0.0.1:0"}, ready: {notify: true}}
  gone: {command: ACTOR, args: [actor]}
`
	s := newSandbox(t, file)
	if out := s.mustRun("apply", "--dry-run"); !strings.Contains(out, "start    nothing runs") {
		t.Error(out)
	}
	s.assertFails(exitUnavailable, []string{"pgo is not running"}, "apply")
	s.mustRun("up")
	before := s.listByName()
	if out := s.mustRun("apply", "--dry-run"); out != "nothing to do\n" {
		t.Error(out)
	}
	s.writeProcessFile(`
  db: {kind: infra, command: ACTOR, args: [actor, print=changed]}
  web: {command: ACTOR, args: [actor, web, ready], after: [db], listeners: {http: "127.0.0.1:0"}, ready: {notify: true}, env: {A: b}}
  new: {command: ACTOR, args: [actor], instances: 2}
`)
	want := "gone         stop     the file has it no more\ndb           restart  the file has it otherwise\nweb          reload   the file has it otherwise\nnew          start    new\n"
	if out := s.mustRun("apply", "--dry-run"); out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
	if now := s.listByName(); now["db"].PID != before["db"].PID {
		t.Error("a dry run did something")
	}
	l := startLoad(t, "http://"+before["web"].Listeners["http"])
	s.mustRun("apply")
	l.assertNoFailures(t)
	now := s.listByName()
	if now["db"].PID == before["db"].PID || now["web"].PID == before["web"].PID || len(s.listInstances()) != 4 || isAlive(before["gone"].PID) {
		t.Errorf("after apply: %+v", s.listInstances())
	}
}

// A change of a service that fails leaves the service as it was.
func TestApplyThatFails(t *testing.T) {
	t.Parallel()
	file := `
  web: {command: ACTOR, args: [actor, ACTION, web, ready], listeners: {http: "127.0.0.1:0"}, ready: {notify: true}}
`
	s := newSandbox(t, strings.ReplaceAll(file, "ACTION", "print=good"))
	s.mustRun("up")
	before := s.listByName()["web"]
	s.writeProcessFile(strings.ReplaceAll(file, "ACTION", "print=bad, exit=78"))
	for range 2 { // the second time it is not taken for applied
		s.assertFails(exitFailed, []string{"web was not replaced: exit code 78", "| bad"}, "up")
	}
	proc.Kill(before.PID, syscall.SIGKILL)
	eventually(t, "it is started again as it was", func() error {
		if p := s.listByName()["web"]; !p.Ready || p.PID == before.PID {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	s.writeProcessFile(strings.ReplaceAll(file, "ACTION", "print=good"))
	s.mustRun("up")
}

func TestCommandsOnPatterns(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  web-a: {command: ACTOR, args: [actor, print=a]}
  web-b: {command: ACTOR, args: [actor, print=b]}
  db: {command: ACTOR, args: [actor, "record=DIR/order:db"], instances: 2}
`)
	s.mustRun("up")
	s.mustRun("stop", "web-*")
	for name, p := range s.listByName() {
		if (p.Status == control.Stopped) != strings.HasPrefix(name, "web") {
			t.Errorf("%s is %s", name, p.Status)
		}
	}
	s.mustRun("start", "web-?")
	s.assertFails(exitFailed, []string{`there is no process "x*"`}, "stop", "x*")
	s.assertFails(exitFailed, []string{`there is no process "x*"`}, "list", "x*")
	if out := s.mustRun("list", "web-*"); !strings.Contains(out, "web-a") || !strings.Contains(out, "web-b") || strings.Contains(out, "db") {
		t.Errorf("list web-*:\n%s", out)
	}
	s.mustRun("signal", "SIGTERM", "db")
	eventually(t, "both instances were asked to end", func() error {
		if n := strings.Count(s.readFile("order"), "stop db"); n != 2 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	s.assertFails(exitFailed, []string{"expected a signal such as SIGHUP"}, "signal", "HOP", "db")
	s.mustRun("delete", "web-a")
	if _, there := s.listByName()["web-a"]; there {
		t.Error("web-a is still there")
	}
	s.mustRun("up")
	if !s.listByName()["web-a"].Ready {
		t.Error("up did not bring web-a back")
	}
	if out := s.mustRun("__complete", "stop", ""); !strings.Contains(out, "web-a\n") || !strings.Contains(out, "all\n") {
		t.Errorf("completion: %s", out)
	}
	var described []control.Description
	if err := json.Unmarshal([]byte(s.mustRun("describe", "--json", "db")), &described); err != nil || len(described) != 1 || len(described[0].Rows) != 2 {
		t.Errorf("describe: %v, %+v", err, described)
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "  p: {command: ACTOR}\n")
	var schema map[string]any
	if err := json.Unmarshal([]byte(s.mustRun("schema")), &schema); err != nil || schema["title"] != "pgo process file" {
		t.Errorf("%v: %v", err, schema)
	}
}
