package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/proc"
)

func TestManagerKilled(t *testing.T) {
	s := newSandbox(t, `
  db: {kind: infra, command: ACTOR, args: [actor, "status=warm", ready], ready: {notify: true}}
  web: {command: ACTOR, args: [actor, web, ready], version: [version, --json], after: [db], listeners: {http: "127.0.0.1:0"}, ready: {notify: true}}
  late: {command: ACTOR, args: [actor, "await=DIR/go", ready], ready: {notify: true, within: 10m}}
  stopped: {command: ACTOR, args: [actor]}
  bad: {command: ACTOR, args: [actor, exit=78], restart: {final_exit_codes: [78]}}
  once: {kind: one-shot, command: ACTOR, args: [actor, print=done, exit=0]}
`)
	s.assertFails(exitFailed, []string{"bad is not ready"}, "up")
	s.mustRun("stop", "stopped")
	s.awaitState("web", control.Ready)
	eventually(t, "web's version is known", func() error {
		if p := s.listByName()["web"]; p.Version == "" {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	before, keeper := s.listByName(), s.readInfo().KeeperPID
	if keeper == 0 || keeper == s.readInfo().ManagerPID {
		t.Fatalf("info: %+v", s.readInfo())
	}
	l := startLoad(t, "http://"+before["web"].Listeners["http"])
	for range 20 {
		s.killManager()
	}
	for name, p := range s.listByName() {
		was := before[name]
		if p.PID != was.PID || p.Status != was.Status || p.Ready != was.Ready || p.Restarts != was.Restarts || p.Message != was.Message || p.Version != was.Version || !p.Since.Equal(was.Since) {
			t.Errorf("%s: before %+v, after %+v", name, was, p)
		}
	}
	if s.readInfo().KeeperPID != keeper {
		t.Error("the keeper is another one")
	}
	// Notifications that are sent while there is no manager arrive later.
	touchFile(t, filepath.Join(s.dir, "go"))
	s.awaitState("late", control.Ready)
	l.assertNoFailures(t)

	// On SIGTERM it leaves for the next one.
	asked := s.readInfo().ManagerPID
	proc.Kill(asked, syscall.SIGTERM)
	eventually(t, "there is another manager", func() error {
		if s.readInfo().ManagerPID == asked {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	if p := s.listByName()["web"]; p.PID != before["web"].PID || !p.Ready {
		t.Errorf("web: %+v", p)
	}

	// A crash while there is no manager is noticed.
	old := s.readInfo().ManagerPID
	proc.Kill(old, syscall.SIGKILL)
	proc.Kill(before["web"].PID, syscall.SIGKILL)
	eventually(t, "web runs again", func() error {
		if p := s.listByName()["web"]; p.PID == before["web"].PID || !p.Ready || p.Restarts != 1 {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	s.mustRun("stop", "late")
	s.mustRun("down")
	s.assertManagerGaps()
}

// assertManagerGaps checks in pgo's own log how long there was no manager after one was killed.
func (s *sandbox) assertManagerGaps() {
	s.t.Helper()
	var ended time.Time
	var gaps []time.Duration
	for line := range strings.Lines(s.readFile(".pgo/logs/pgo.log")) {
		var entry struct {
			TS       time.Time `json:"ts"`
			Msg, How string
		}
		if json.Unmarshal([]byte(line), &entry) != nil {
			continue
		}
		switch {
		case entry.Msg == "the manager ended" && entry.How == "killed by SIGKILL":
			ended = entry.TS
		case entry.Msg == "manager started" && !ended.IsZero():
			gaps = append(gaps, entry.TS.Sub(ended))
			ended = time.Time{}
		}
	}
	slices.Sort(gaps)
	if len(gaps) == 0 {
		s.t.Fatal("no manager was killed")
	}
	median := gaps[len(gaps)/2]
	s.t.Logf("%d managers killed; managed again after %s (median), %s at most", len(gaps), median, gaps[len(gaps)-1])
	if median > time.Second {
		s.t.Errorf("managed again after %s", median)
	}
}

func touchFile(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A manager that is killed while it stops or starts processes leaves that to the next one.
func TestManagerKilledAtWork(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  db: {command: ACTOR, args: [actor, "record=DIR/order:db", ready], ready: {notify: true}}
  slow: {command: ACTOR, args: [actor, "record=DIR/order:slow", ignore, ready], after: [db], ready: {notify: true}, stop: {timeout: 5s}}
`)
	s.mustRun("up")
	pid := s.listByName()["slow"].PID
	stop := s.newCommand("stop", "slow")
	if err := stop.Start(); err != nil {
		t.Fatal(err)
	}
	s.awaitState("slow", control.Stopping)
	s.killManager()
	_ = stop.Wait() // its manager is gone
	if p := s.awaitState("slow", control.Stopped); isAlive(pid) || p.Reason != "did not end in time and was killed" {
		t.Errorf("%+v", p)
	}
	s.mustRun("start", "slow")
	down := s.newCommand("down")
	if err := down.Start(); err != nil {
		t.Fatal(err)
	}
	s.awaitState("slow", control.Stopping)
	proc.Kill(s.readInfo().ManagerPID, syscall.SIGKILL)
	_ = down.Wait()
	eventually(t, "everything has ended", func() error {
		if left := s.findProcesses(); len(left) > 0 {
			return fmt.Errorf("%v", left)
		}
		return nil
	})
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `  web: {command: ACTOR, args: [actor, web, ready], listeners: {http: "127.0.0.1:0"}, ready: {notify: true}}`+"\n")
	s.assertFails(exitUnavailable, []string{"pgo is not running"}, "upgrade")
	s.mustRun("up")
	before, info := s.listByName()["web"], s.readInfo()
	next := filepath.Join(s.dir, "pgo")
	binary, err := os.ReadFile(pgoPath)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(next, append(binary, "newer"...), 0o700); err != nil {
		t.Fatal(err)
	}
	l := startLoad(t, "http://"+before.Listeners["http"])
	if out := s.mustRun("upgrade", "--program", next); !strings.Contains(out, "the manager is version dev now") {
		t.Error(out)
	}
	now := s.readInfo()
	if now.KeeperPID != info.KeeperPID || now.ManagerPID == info.ManagerPID || s.listByName()["web"].PID != before.PID {
		t.Errorf("before %+v, after %+v", info, now)
	}
	running := func() string {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.readInfo().ManagerPID))
		if err != nil {
			t.Fatal(err)
		}
		return exe
	}
	upgraded := running()
	if !strings.HasPrefix(upgraded, filepath.Join(s.homeDir(), "state", "pgo-")) {
		t.Errorf("the manager runs %s", upgraded)
	}
	// The installed file may be overwritten: a copy of it runs.
	if err := os.WriteFile(next, []byte("#!/bin/sh\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.killManager()
	if running() != upgraded {
		t.Errorf("after it was killed the manager runs %s", running())
	}
	s.assertFails(exitFailed, []string{"does not answer `version --json`"}, "upgrade", "--program", next)
	// A program with a version that cannot manage.
	if err := os.WriteFile(next, []byte("#!/bin/sh\n[ \"$1\" = version ] && echo '{\"version\":\"9\"}' && exit\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.assertFails(exitFailed, []string{"the new manager did not start, the previous one continues: exit code 3"}, "upgrade", "--program", next)
	if running() != upgraded || s.listByName()["web"].PID != before.PID {
		t.Errorf("after an upgrade that failed the manager runs %s", running())
	}
	l.assertNoFailures(t)
}

// up with another pgo than the manager's upgrades the manager, and touches nothing else. A second up changes nothing.
func TestUpUpgradesTheManager(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `  web: {command: ACTOR, args: [actor, web, ready], listeners: {http: "127.0.0.1:0"}, ready: {notify: true}}`+"\n")
	s.mustRun("up")
	before, info := s.listByName()["web"], s.readInfo()
	binary, err := os.ReadFile(pgoPath)
	if err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(s.dir, "pgo")
	if err := os.WriteFile(next, append(binary, "newer"...), 0o700); err != nil {
		t.Fatal(err)
	}
	l := startLoad(t, "http://"+before.Listeners["http"])
	for _, isUpgrade := range []bool{true, false} {
		managed := s.readInfo().ManagerPID
		up := s.newCommand("up")
		up.Path = next
		out, err := up.CombinedOutput()
		if err != nil || strings.Contains(string(out), "the manager is version dev now") != isUpgrade || (s.readInfo().ManagerPID != managed) != isUpgrade {
			t.Errorf("%v, an upgrade is %v, got\n%s", err, isUpgrade, out)
		}
		if strings.Contains(string(out), "this program is version") {
			t.Errorf("a development build prints a note about versions:\n%s", out)
		}
	}
	if now := s.readInfo(); now.KeeperPID != info.KeeperPID || s.listByName()["web"].PID != before.PID {
		t.Errorf("before %+v, after %+v", info, now)
	}
	l.assertNoFailures(t)
}

// As the first process of a container the keeper reaps orphans and ends on SIGTERM.
func TestFirstProcess(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `  p: {command: ACTOR, args: [actor, "orphan=DIR/orphan", ready], ready: {notify: true}}`+"\n")
	cmd := s.newCommand("up", "--foreground")
	cmd.Path, cmd.Args = s.self, append([]string{s.self, "init"}, cmd.Args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the orphan has ended", func() error {
		if s.readFile("orphan") == "" {
			return fmt.Errorf("it has not started")
		}
		return nil
	})
	eventually(t, "nothing waits to be reaped", func() error {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", cmd.Process.Pid))
		if err != nil {
			return err
		}
		var children []string
		for _, file := range threads {
			pids, _ := os.ReadFile(file) // a thread that has ended has no file
			children = append(children, strings.Fields(string(pids))...)
		}
		if len(children) != 2 { // the manager and p
			return fmt.Errorf("children: %v", children)
		}
		return nil
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	if left := s.findProcesses(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `  p: {command: ACTOR, args: [actor, ready], ready: {notify: true}}`+"\n")
	s.mustRun("up")
	s.killManager()
	s.mustRun("restart", "p")
	s.mustRun("down")
	var states []string
	last := int64(0)
	for line := range strings.Lines(s.mustRun("events", "--json")) {
		var e control.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Seq <= last || e.Time.IsZero() || e.Process != "p" {
			t.Errorf("event %s", line)
		}
		last = e.Seq
		states = append(states, string(e.To))
	}
	want := "waiting starting ready stopping stopped waiting starting ready stopping stopped"
	if got := strings.Join(states, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if out := s.mustRun("events", "-n", "1"); !strings.Contains(out, "p/0") || !strings.HasSuffix(out, "exit code 0\n") {
		t.Errorf("events -n 1: %q", out)
	}
}
