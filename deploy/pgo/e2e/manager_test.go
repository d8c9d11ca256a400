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
	s := newStack(t, `
  db: {kind: infra, command: ACTOR, args: [actor, "status=warm", ready], ready: {notify: true}}
  web: {command: ACTOR, args: [actor, web, ready], after: [db], listeners: {http: "127.0.0.1:0"}, ready: {notify: true}}
  late: {command: ACTOR, args: [actor, "await=DIR/go", ready], ready: {notify: true, within: 10m}}
  stopped: {command: ACTOR, args: [actor]}
  bad: {command: ACTOR, args: [actor, exit=78], restart: {final_exit_codes: [78]}}
  once: {kind: one-shot, command: ACTOR, args: [actor, say=done, exit=0]}
`)
	s.fails(exitFailed, []string{"bad is not ready"}, "up")
	s.must("stop", "stopped")
	s.becomes("web", control.Ready)
	eventually(t, "web's version is known", func() error {
		if p := s.list()["web"]; p.Version == "" {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	before, keeper := s.list(), s.info().KeeperPID
	if keeper == 0 || keeper == s.info().ManagerPID {
		t.Fatalf("info: %+v", s.info())
	}
	l := startLoad(t, "http://"+before["web"].Listeners["http"])
	for range 20 {
		s.killManager()
	}
	for name, p := range s.list() {
		was := before[name]
		if p.PID != was.PID || p.Status != was.Status || p.Ready != was.Ready || p.Restarts != was.Restarts || p.Message != was.Message || p.Version != was.Version || !p.Since.Equal(was.Since) {
			t.Errorf("%s: before %+v, after %+v", name, was, p)
		}
	}
	if s.info().KeeperPID != keeper {
		t.Error("the keeper is another one")
	}
	// What is said while nobody listens is heard later.
	touch(t, filepath.Join(s.dir, "go"))
	s.becomes("late", control.Ready)
	l.none(t)

	// Asked to end, it makes room for the next one.
	asked := s.info().ManagerPID
	proc.Kill(asked, syscall.SIGTERM)
	eventually(t, "there is another manager", func() error {
		if s.info().ManagerPID == asked {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	if p := s.list()["web"]; p.PID != before["web"].PID || !p.Ready {
		t.Errorf("web: %+v", p)
	}

	// A crash in the gap is noticed, and the same again.
	old := s.info().ManagerPID
	proc.Kill(old, syscall.SIGKILL)
	proc.Kill(before["web"].PID, syscall.SIGKILL)
	eventually(t, "web runs again", func() error {
		if p := s.list()["web"]; p.PID == before["web"].PID || !p.Ready || p.Restarts != 1 {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	s.must("stop", "late")
	s.must("down")
	s.gaps()
}

// gaps checks how long there was no manager after one was killed, as pgo itself has written it down.
func (s *stack) gaps() {
	s.Helper()
	var ended time.Time
	var gaps []time.Duration
	for line := range strings.Lines(s.read(".pgo/logs/pgo.log")) {
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
		s.Fatal("no manager was killed")
	}
	median := gaps[len(gaps)/2]
	s.Logf("%d managers killed; managed again after %s (median), %s at most", len(gaps), median, gaps[len(gaps)-1])
	if median > time.Second {
		s.Errorf("managed again after %s", median)
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A manager that is killed while it stops or starts things leaves that to the next one.
func TestManagerKilledAtWork(t *testing.T) {
	s := newStack(t, `
  db: {command: ACTOR, args: [actor, "record=DIR/order:db", ready], ready: {notify: true}}
  slow: {command: ACTOR, args: [actor, "record=DIR/order:slow", ignore, ready], after: [db], ready: {notify: true}, stop: {timeout: 5s}}
`)
	s.must("up")
	pid := s.list()["slow"].PID
	stop := s.command("stop", "slow")
	if err := stop.Start(); err != nil {
		t.Fatal(err)
	}
	s.becomes("slow", control.Stopping)
	s.killManager()
	_ = stop.Wait() // the manager that it spoke to is gone
	if p := s.becomes("slow", control.Stopped); alive(pid) || p.Reason != "did not end in time and was killed" {
		t.Errorf("%+v", p)
	}
	s.must("start", "slow")
	down := s.command("down")
	if err := down.Start(); err != nil {
		t.Fatal(err)
	}
	s.becomes("slow", control.Stopping)
	proc.Kill(s.info().ManagerPID, syscall.SIGKILL)
	_ = down.Wait()
	eventually(t, "everything has ended", func() error {
		if left := s.processes(); len(left) > 0 {
			return fmt.Errorf("%v", left)
		}
		return nil
	})
}

func TestUpgrade(t *testing.T) {
	s := newStack(t, `  web: {command: ACTOR, args: [actor, web, ready], listeners: {http: "127.0.0.1:0"}, ready: {notify: true}}`+"\n")
	s.fails(exitUnavailable, []string{"pgo is not running"}, "upgrade")
	s.must("up")
	before, info := s.list()["web"], s.info()
	next := filepath.Join(s.dir, "pgo")
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(next, append(binary, "newer"...), 0o700); err != nil {
		t.Fatal(err)
	}
	l := startLoad(t, "http://"+before.Listeners["http"])
	if out := s.must("upgrade", "--program", next); !strings.Contains(out, "the manager is version dev now") {
		t.Error(out)
	}
	now := s.info()
	if now.KeeperPID != info.KeeperPID || now.ManagerPID == info.ManagerPID || s.list()["web"].PID != before.PID {
		t.Errorf("before %+v, after %+v", info, now)
	}
	running := func() string {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.info().ManagerPID))
		if err != nil {
			t.Fatal(err)
		}
		return exe
	}
	upgraded := running()
	if !strings.HasPrefix(upgraded, filepath.Join(s.home(), "state", "pgo-")) {
		t.Errorf("the manager runs %s", upgraded)
	}
	// What was installed may be written over: a copy of it runs.
	if err := os.WriteFile(next, []byte("#!/bin/sh\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.killManager()
	if running() != upgraded {
		t.Errorf("after it was killed the manager runs %s", running())
	}
	s.fails(exitFailed, []string{"does not answer `version --json`"}, "upgrade", "--program", next)
	// One that says it is a pgo and cannot manage.
	if err := os.WriteFile(next, []byte("#!/bin/sh\n[ \"$1\" = version ] && echo '{\"version\":\"9\"}' && exit\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.fails(exitFailed, []string{"the new manager did not start, the previous one continues: exit code 3"}, "upgrade", "--program", next)
	if running() != upgraded || s.list()["web"].PID != before.PID {
		t.Errorf("after an upgrade that failed the manager runs %s", running())
	}
	l.none(t)
}

// As the first process of a container: strangers are reaped, and the keeper is what SIGTERM is for.
func TestFirstProcess(t *testing.T) {
	s := newStack(t, `  p: {command: ACTOR, args: [actor, "orphan=DIR/orphan", ready], ready: {notify: true}}`+"\n")
	cmd := s.command("up", "--foreground")
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
		if s.read("orphan") == "" {
			return fmt.Errorf("it has not begun")
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
			pids, _ := os.ReadFile(file) // a thread that has ended has none
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
	if left := s.processes(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestEvents(t *testing.T) {
	s := newStack(t, `  p: {command: ACTOR, args: [actor, ready], ready: {notify: true}}`+"\n")
	s.must("up")
	s.killManager()
	s.must("restart", "p")
	s.must("down")
	var states []string
	last := int64(0)
	for line := range strings.Lines(s.must("events", "--json")) {
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
	if out := s.must("events", "-n", "1"); !strings.Contains(out, "p/0") || !strings.HasSuffix(out, "exit code 0\n") {
		t.Errorf("events -n 1: %q", out)
	}
}
