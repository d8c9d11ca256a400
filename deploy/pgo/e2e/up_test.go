package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/proc"
)

func TestUpAndDownInOrder(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  db: {kind: infra, command: ACTOR, args: [actor, "record=DIR/order:db", ready], ready: {notify: true}}
  cache: {kind: infra, command: ACTOR, args: [actor, "record=DIR/order:cache", ready], after: [db], ready: {notify: true}}
  gate: {kind: gate, command: ACTOR, args: [actor, "record=DIR/order:gate", ready], after: [cache], ready: {notify: true}}
  web: {command: ACTOR, args: [actor, "record=DIR/order:web", "status=warm", ready], version: [version, --json], after: [gate, db], ready: {notify: true}}
`)
	out := s.mustRun("up")
	if !strings.Contains(out, "all 4 processes are ready") {
		t.Errorf("up printed\n%s", out)
	}
	list := s.listByName()
	for name, p := range list {
		if !p.Ready || p.Status != control.Ready || p.PID == 0 || p.Restarts != 0 || p.Memory == 0 {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if got := list["web"].Message; got != "warm" {
		t.Errorf("STATUS: %q", got)
	}
	eventually(t, "the version is known", func() error {
		if got := s.listByName()["web"].Version; got != version {
			return fmt.Errorf("%q, want %q", got, version)
		}
		return nil
	})
	if got := list["db"].Version; got != "" {
		t.Errorf("infra was asked for its version: %q", got)
	}
	if info := s.readInfo(); info.ManagerPID == 0 || info.Home != s.homeDir() || info.Version != version {
		t.Errorf("info: %+v", info)
	}
	var printed []control.Process
	if err := json.Unmarshal([]byte(s.mustRun("list", "--json")), &printed); err != nil || len(printed) != len(list) {
		t.Errorf("list --json: %v, %+v", err, printed)
	}
	for _, p := range printed {
		if was := list[p.Name]; p.PID != was.PID || p.Status != was.Status || !p.Ready || p.Memory == 0 || !p.Since.Equal(was.Since) {
			t.Errorf("list --json has %+v, want %+v", p, was)
		}
	}
	var info control.Info
	if err := json.Unmarshal([]byte(s.mustRun("info", "--json")), &info); err != nil || info != s.readInfo() {
		t.Errorf("info --json: %v, %+v, want %+v", err, info, s.readInfo())
	}
	for _, table := range []string{s.mustRun("list"), s.mustRun("info")} {
		if !strings.Contains(table, "dev") {
			t.Errorf("table:\n%s", table)
		}
	}

	s.mustRun("down")
	want := []string{"start db", "start cache", "start gate", "start web", "stop web", "stop gate", "stop cache", "stop db"}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(s.readFile("order")), "\n")); diff != "" {
		t.Error(diff)
	}
	if out := s.mustRun("list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("list after down: %s", out)
	}
	if out := s.mustRun("down"); !strings.Contains(out, "nothing runs") {
		t.Errorf("down twice: %s", out)
	}
}

func TestUpAgain(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  same: {command: ACTOR, args: [actor]}
  changed: {command: ACTOR, args: [actor, print=old, ready], ready: {notify: true}, after: [same]}
  stopped: {command: ACTOR, args: [actor]}
  gone: {command: ACTOR, args: [actor], after: [changed]}
`)
	s.mustRun("up")
	before := s.listByName()
	s.mustRun("up")
	for name, p := range s.listByName() {
		if p.PID != before[name].PID {
			t.Errorf("a second up restarted %s", name)
		}
	}
	s.mustRun("stop", "stopped")
	if p := s.listByName()["stopped"]; p.Status != control.Stopped || p.PID != 0 {
		t.Fatalf("stopped: %+v", p)
	}
	s.writeProcessFile(`
  same: {command: ACTOR, args: [actor]}
  changed: {command: ACTOR, args: [actor, print=new, ready], ready: {notify: true}, after: [same]}
  stopped: {command: ACTOR, args: [actor]}
  added: {command: ACTOR, args: [actor]}
`)
	s.mustRun("up")
	after := s.listByName()
	if after["same"].PID != before["same"].PID {
		t.Error("an unchanged process was restarted")
	}
	if after["changed"].PID == before["changed"].PID || s.readFile(".pgo/logs/changed.log") != "old\nnew\n" {
		t.Errorf("a changed process was not restarted: %s", s.readFile(".pgo/logs/changed.log"))
	}
	if _, there := after["gone"]; there || isAlive(before["gone"].PID) {
		t.Error("what the file has no more still runs")
	}
	if !after["stopped"].Ready || !after["added"].Ready {
		t.Errorf("not started: %+v %+v", after["stopped"], after["added"])
	}
}

func TestUpAfterABuild(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  db: {kind: infra, command: ACTOR, args: [actor]}
  gate: {kind: gate, command: ACTOR, args: [actor], after: [db]}
  other: {kind: service, command: ACTOR, args: [actor], after: [gate]}
  built: {kind: service, command: DIR/built, args: [actor], after: [gate]}
`)
	text, err := os.ReadFile(s.self)
	if err != nil {
		t.Fatal(err)
	}
	build := func(content []byte) {
		t.Helper()
		next := filepath.Join(s.dir, "next")
		if err := errors.Join(os.WriteFile(next, content, 0o700), os.Rename(next, filepath.Join(s.dir, "built"))); err != nil {
			t.Fatal(err)
		}
	}
	build(text)
	s.mustRun("up")
	before := s.listByName()
	build(text)
	s.mustRun("up")
	for name, p := range s.listByName() {
		if p.PID != before[name].PID {
			t.Errorf("%s was restarted for the same program", name)
		}
	}
	build(append(text, 0))
	s.mustRun("up")
	after := s.listByName()
	for name, again := range map[string]bool{"db": false, "gate": true, "other": false, "built": true} {
		if (after[name].PID != before[name].PID) != again || !after[name].Ready {
			t.Errorf("%s: restarted: %v, want %v", name, after[name].PID != before[name].PID, again)
		}
	}
}

func TestStartStopRestart(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  db: {command: ACTOR, args: [actor]}
  web: {command: ACTOR, args: [actor], after: [db]}
`)
	s.assertFails(exitUnavailable, []string{"pgo is not running", "pgo up"}, "start", "web")
	s.mustRun("up")
	before := s.listByName()
	s.mustRun("restart", "web")
	if now := s.listByName(); now["web"].PID == before["web"].PID || now["db"].PID != before["db"].PID {
		t.Errorf("restart web: before %+v, now %+v", before, now)
	}
	s.mustRun("stop", "db")
	if !s.listByName()["web"].Ready {
		t.Error("stopping db stopped what depends on it")
	}
	s.mustRun("stop", "all")
	// Its dependency is stopped on purpose: waiting would not help.
	s.assertFails(exitFailed, []string{"db is not ready: stopped", "try: pgo start db"}, "start", "web")
	if p := s.awaitState("web", control.Waiting); p.Reason != "for db, which is stopped" {
		t.Errorf("reason: %s", p.Reason)
	}
	s.mustRun("start", "db", "web")
	s.mustRun("restart", "all")
	s.assertFails(exitFailed, []string{`no process "wbe"`, "db, web"}, "stop", "wbe")
	s.assertFails(exitUsage, []string{"name at least one"}, "stop")
	s.assertFails(exitUsage, []string{"unknown flag"}, "list", "--jsn")
}

// Processes with HTTP and TCP probes become ready.
func TestProbes(t *testing.T) {
	t.Parallel()
	web, other := reserveAddr(t), reserveAddr(t)
	s := newSandbox(t, `
  http: {command: ACTOR, args: [actor, serve], listeners: {admin: "127.0.0.1:0", http: "`+web+`"}, ready: {http: "http://`+web+`/"}}
  tcp: {command: ACTOR, args: [actor, "bind=`+other+`"], ready: {tcp: "`+other+`"}}
`)
	s.mustRun("up")
	listeners := s.listByName()["http"].Listeners
	if listeners["http"] != web || strings.HasSuffix(listeners["admin"], ":0") {
		t.Errorf("listeners: %v", listeners)
	}
}

// Each of several instances is named with its number, a single one by its name.
func TestUpNamesInstances(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "  web: {command: ACTOR, args: [actor], instances: 2}\n")
	out := s.mustRun("up")
	for _, want := range []string{"web/0        ready", "web/1        ready", "the process is ready"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	s.mustRun("scale", "web", "1")
	if out := s.mustRun("restart", "web"); !strings.Contains(out, "web          ready") || strings.Contains(out, "web/0") {
		t.Errorf("of one alone:\n%s", out)
	}
}

// A reader of the output of `pgo up` does not wait for pgo's own end, also not on a descriptor that pgo up does not know.
func TestUpClosesItsOutput(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "  p: {command: ACTOR, args: [actor]}\n")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cmd := s.newCommand("up")
	cmd.Stdout, cmd.ExtraFiles = write, []*os.File{write}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	if _, err := io.ReadAll(read); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestForeground(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "  p: {command: ACTOR, args: [actor]}\n")
	cmd := s.newCommand("up", "--foreground")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the manager answers", func() error {
		if code, out := s.runPgo("info", "--json"); code != 0 || strings.Contains(out, `"manager_pid": 0`) {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	s.awaitState("p", control.Ready)
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

func TestInterruptedUp(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `  p: {command: ACTOR, args: [actor, "await=DIR/go", ready], ready: {notify: true}}`+"\n")
	cmd := s.newCommand("up")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "p starts", func() error {
		if code, out := s.runPgo("list"); code != 0 || !strings.Contains(out, "starting") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != exitInterrupted {
		t.Errorf("exit code %d", got)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.mustRun("up")
}

// Infra that no one names in after runs until the processes that use it have ended.
func TestDownStopsInfraLast(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		end  func(s *sandbox)
	}{
		{"down", func(s *sandbox) { s.mustRun("down") }},
		{"down after pgo was killed", func(s *sandbox) {
			if err := proc.Kill(s.readInfo().KeeperPID, syscall.SIGKILL); err != nil {
				s.t.Fatal(err)
			}
			eventually(s.t, "no manager answers", func() error {
				if code, _ := s.runPgo("list"); code == exitOK {
					return errors.New("pgo still answers")
				}
				return nil
			})
			s.mustRun("down")
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, `
  db: {kind: infra, command: ACTOR, args: [actor, "record=DIR/order:db", ready], ready: {notify: true}}
  gate: {kind: gate, command: ACTOR, args: [actor, "record=DIR/order:gate", ready], ready: {notify: true}}
  web: {command: ACTOR, args: [actor, linger=300ms, "record=DIR/order:web", ready], after: [gate], ready: {notify: true}}
  front: {kind: infra, command: ACTOR, args: [actor, linger=100ms, "record=DIR/order:front", ready], after: [web], ready: {notify: true}}
`)
			s.mustRun("up")
			test.end(s)
			_, stops, _ := strings.Cut(s.readFile("order"), "stop")
			want := []string{"front", "stop web", "stop gate", "stop db"}
			if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(stops), "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}
