package e2e

import (
	"fmt"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/control"
)

// countLines returns the number of lines of a file.
func (s *sandbox) countLines(name string) int { return strings.Count(s.readFile(name), "\n") }

// awaitLines waits until a file has at least n lines.
func (s *sandbox) awaitLines(name string, n int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%d lines in %s", n, name), func() error {
		if got := s.countLines(name); got < n {
			return fmt.Errorf("%d lines", got)
		}
		return nil
	})
}

// A one-shot with a schedule is run by it, and not by up: it counts as ready until then, and up does not wait for it. stop ends
// its schedule, start runs it at once, up resumes the schedule.
func TestScheduledJob(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  often: {kind: one-shot, command: /bin/sh, args: [-c, "echo run >>DIR/often"], cron: "* * * * * *"}
  rarely: {kind: one-shot, command: /bin/sh, args: [-c, "echo run >>DIR/rarely"], cron: "0 0 1 1 *"}
`)
	s.mustRun("up")
	if p := s.listByName()["rarely"]; !p.Ready || p.Status != control.Stopped || s.countLines("rarely") != 0 {
		t.Errorf("%+v, run %d times", p, s.countLines("rarely"))
	}
	s.awaitLines("often", 2)
	if out := s.mustRun("describe", "rarely"); !strings.Contains(out, "0 0 1 1 *, next at ") || !strings.Contains(out, "-01-01 00:00:00") {
		t.Errorf("describe:\n%s", out)
	}
	if out := s.mustRun("events"); !strings.Contains(out, "its schedule runs it: * * * * * *") {
		t.Errorf("events:\n%s", out)
	}
	s.mustRun("stop", "often")
	stopped := s.countLines("often")
	s.mustRun("start", "rarely")
	s.awaitLines("rarely", 1)
	if p := s.listByName()["often"]; p.Ready || p.Status != control.Stopped {
		t.Errorf("a job that was stopped: %+v", p)
	}
	s.killManager() // the next one knows that it was stopped
	if got := s.countLines("often"); got != stopped {
		t.Errorf("it ran %d times after it was stopped", got-stopped)
	}
	s.mustRun("up")
	s.awaitLines("often", stopped+1)
}

// A service with a schedule is reloaded where it can be, else restarted. One that a command has stopped stays so.
func TestScheduledRestart(t *testing.T) {
	t.Parallel()
	const processes = `
  plain: {command: ACTOR, args: [actor, ready], ready: {notify: true}}
  web: {command: ACTOR, args: [actor, web, ready], listeners: {http: "127.0.0.1:0"}, ready: {notify: true}, reload: {stable: 1ms}}
  stopped: {command: ACTOR, args: [actor, ready], ready: {notify: true}}
`
	s := newSandbox(t, processes)
	s.mustRun("up")
	before := s.listByName()
	l := startLoad(t, "http://"+before["web"].Listeners["http"])
	s.writeProcessFile(strings.ReplaceAll(processes, "command: ACTOR", `cron: "@every 1s", command: ACTOR`))
	s.runPgo("apply") // it may meet a process that its schedule restarts
	awaitOther := func(name string) {
		t.Helper()
		eventually(t, name+" is another process", func() error {
			if p := s.listByName()[name]; !p.Ready || p.PID == before[name].PID {
				return fmt.Errorf("%+v", p)
			}
			return nil
		})
	}
	awaitOther("plain")
	awaitOther("web")
	l.assertNoFailures(t)
	s.mustRun("stop", "stopped")
	before = s.listByName()
	awaitOther("plain")
	if p := s.listByName()["stopped"]; p.Status != control.Stopped {
		t.Errorf("what was stopped: %+v", p)
	}
}
