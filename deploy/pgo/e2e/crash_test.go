package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/proc"
)

// getURL sends a request on a new connection.
func getURL(url string) (string, error) {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

func TestCrashHealsOnTheSameListener(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  web: {command: ACTOR, args: [actor, serve, ready], listeners: {http: "127.0.0.1:0"}, ready: {notify: true}}
`)
	s.mustRun("up")
	before := s.listByName()["web"]
	url := "http://" + before.Listeners["http"]
	for round := range 3 {
		if _, err := getURL(url + "/crash"); err == nil {
			t.Fatal("the actor did not crash")
		}
		// The process is dead now: all of these wait in the backlog, none is refused.
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if body, err := getURL(url); err != nil || body == strconv.Itoa(before.PID) {
					t.Errorf("round %d: %q, %v", round, body, err)
				}
			})
		}
		all.Wait()
	}
	after := s.awaitState("web", control.Ready)
	if after.Restarts != 3 || after.PID == before.PID || after.Listeners["http"] != before.Listeners["http"] {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if !strings.Contains(s.readFile(".pgo/logs/pgo.log"), `"to":"backing-off","reason":"exit code 1; next start in`) {
		t.Error("pgo.log does not say why it was started again")
	}
}

// A gate that crashes does not disturb running processes; processes that start wait for it.
func TestGateCrashes(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  gate: {kind: gate, command: ACTOR, args: [actor, "await=DIR/open", ready], ready: {notify: true}}
  web: {command: ACTOR, args: [actor], after: [gate]}
  late: {command: ACTOR, args: [actor], after: [gate]}
`)
	door := filepath.Join(s.dir, "open")
	if err := os.WriteFile(door, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.mustRun("up")
	before := s.listByName()
	if err := os.Remove(door); err != nil {
		t.Fatal(err)
	}
	proc.Kill(before["gate"].PID, syscall.SIGKILL)
	eventually(t, "the gate runs again", func() error {
		if p := s.listByName()["gate"]; p.Status != control.Starting || p.Restarts != 1 {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	proc.Kill(before["late"].PID, syscall.SIGKILL)
	s.awaitState("late", control.Waiting)
	if now := s.listByName()["web"]; now.PID != before["web"].PID || !now.Ready {
		t.Errorf("web was disturbed: %+v", now)
	}
	if err := os.WriteFile(door, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.awaitState("late", control.Ready)
}

func TestCrashKillsItsGroup(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `  p: {command: ACTOR, args: [actor, "child=DIR/child", ready], ready: {notify: true}, stop: {timeout: 100ms}}`+"\n")
	s.mustRun("up")
	child := s.awaitPID("child")
	if err := os.Remove(filepath.Join(s.dir, "child")); err != nil {
		t.Fatal(err)
	}
	proc.Kill(s.listByName()["p"].PID, syscall.SIGKILL)
	if next := s.awaitPID("child"); next == child || isAlive(child) {
		t.Errorf("what the crashed process had started lives on: %d, then %d", child, next)
	}
}

func TestStopKillsAfterTimeout(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  deaf: {command: ACTOR, args: [actor, ignore, ready], ready: {notify: true}, stop: {timeout: 100ms}}
  parent: {command: ACTOR, args: [actor, "child=DIR/child", ready], ready: {notify: true}, stop: {timeout: 3s}}
  quits: {command: ACTOR, args: [actor, ready], ready: {notify: true}, stop: {signal: SIGKILL}}
`)
	s.mustRun("up")
	child := s.awaitPID("child")
	if !isAlive(child) {
		t.Fatal("no child to be killed")
	}
	out := s.mustRun("stop", "all")
	list := s.listByName()
	for name, reason := range map[string]string{
		"deaf":   "did not end in time and was killed",
		"parent": "exit code 0",
		"quits":  "killed by SIGKILL",
	} {
		if p := list[name]; p.Status != control.Stopped || p.Reason != reason || !strings.Contains(out, reason) {
			t.Errorf("%s: %+v\n%s", name, p, out)
		}
	}
	if isAlive(child) {
		t.Error("the grandchild lives on")
	}
}

// awaitPID waits for a file that has a pid.
func (s *sandbox) awaitPID(name string) int {
	s.t.Helper()
	pid := 0
	eventually(s.t, name+" is written", func() error {
		text := s.readFile(name)
		if text == "" {
			return errors.New("not there")
		}
		var err error
		pid, err = strconv.Atoi(text)
		return err
	})
	return pid
}

// survivingProcesses has listeners on WEB, which stands for an address.
const survivingProcesses = `
  db: {command: ACTOR, args: [actor, "record=DIR/order:db", "child=DIR/child", ready], ready: {notify: true}, stop: {timeout: 1s}}
  web: {command: ACTOR, args: [actor, "record=DIR/order:web", serve, ready], after: [db], listeners: {http: "WEB"}, ready: {notify: true}}
`

// killKeeper kills pgo, checks that its processes continue to serve, and returns them.
func (s *sandbox) killKeeper() map[string]control.Process {
	s.t.Helper()
	s.mustRun("up")
	list, keeper := s.listByName(), s.readInfo().KeeperPID
	if err := proc.Kill(keeper, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "pgo is gone", func() error {
		if code, out := s.runPgo("list"); code != exitUnavailable || !strings.Contains(out, "2 processes do that it started") {
			return errors.New(out)
		}
		return nil
	})
	if body, err := getURL("http://" + list["web"].Listeners["http"]); err != nil || body != strconv.Itoa(list["web"].PID) {
		s.t.Errorf("web does not serve without pgo: %q, %v", body, err)
	}
	return list
}

func TestKeeperKilledThenUp(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, strings.ReplaceAll(survivingProcesses, "WEB", reserveAddr(t)))
	before := s.killKeeper()
	child := s.awaitPID("child")
	out := s.mustRun("up")
	if !strings.Contains(out, "pgo was killed: stopping what it left behind") {
		t.Errorf("up printed\n%s", out)
	}
	for name, p := range s.listByName() {
		if !p.Ready || p.PID == before[name].PID || isAlive(before[name].PID) {
			t.Errorf("%s: before %+v, now %+v", name, before[name], p)
		}
	}
	if isAlive(child) {
		t.Error("the grandchild of the killed manager's process lives on")
	}
	if !strings.Contains(s.readFile("order"), "stop web\nstop db\n") {
		t.Errorf("not stopped in order:\n%s", s.readFile("order"))
	}
	if body, err := getURL("http://" + s.listByName()["web"].Listeners["http"]); err != nil || body != strconv.Itoa(s.listByName()["web"].PID) {
		t.Errorf("web: %q, %v", body, err)
	}
}

func TestKeeperKilledThenDown(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, strings.ReplaceAll(survivingProcesses, "WEB", reserveAddr(t)))
	s.killKeeper()
	if out := s.mustRun("down"); !strings.Contains(out, "everything is stopped") {
		t.Errorf("down printed\n%s", out)
	}
	if left := s.findProcesses(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if !strings.HasSuffix(s.readFile("order"), "stop web\nstop db\n") {
		t.Errorf("not stopped in order:\n%s", s.readFile("order"))
	}
	if out := s.mustRun("down"); !strings.Contains(out, "nothing runs") {
		t.Errorf("down twice: %s", out)
	}
}

// A process that was blocked in the middle of a line when pgo was killed can write it, and ends by itself.
func TestKeeperKilledDuringOutput(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `  p: {command: ACTOR, args: [actor, "await=DIR/go", "flood=30000:1000000", "touch=DIR/written"], stop: {timeout: 20s}}`+"\n")
	s.mustRun("up")
	proc.Kill(s.readInfo().KeeperPID, syscall.SIGKILL)
	eventually(t, "pgo is gone", func() error {
		if code, out := s.runPgo("list"); code != exitUnavailable {
			return errors.New(out)
		}
		return nil
	})
	if err := os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.mustRun("down")
	lines := strings.Split(strings.TrimSuffix(s.readFile(".pgo/logs/p.log"), "\n"), "\n")
	assertNumbered(t, "the log", lines, 30000)
}

func TestLogs(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  a: {command: ACTOR, args: [actor, print=one, print=two, print=three, ready], ready: {notify: true}}
  b: {command: ACTOR, args: [actor, print=other, ready], ready: {notify: true}}
`)
	s.mustRun("up")
	if got := s.mustRun("logs", "-n", "2", "a"); got != "two\nthree\n" {
		t.Errorf("logs -n 2 a: %q", got)
	}
	if got := s.mustRun("logs", "all"); got != "a            | one\na            | two\na            | three\nb            | other\n" {
		t.Errorf("logs all: %q", got)
	}
	if got := s.mustRun("logs", "pgo"); !strings.Contains(got, `"process":"a"`) {
		t.Errorf("logs pgo: %q", got)
	}
	s.assertFails(exitFailed, []string{`no log of "c"`, "a, b, pgo"}, "logs", "c")

	follow := s.newCommand("logs", "-f", "-n", "1", "a", "b")
	var out strings.Builder
	reader, err := follow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	last, restarted := "a            | three\nb            | other\n", "a            | one\na            | two\na            | three\n"
	if _, err := io.CopyN(&out, reader, int64(len(last))); err != nil { // from now on it follows
		t.Errorf("follow: %v", err)
	}
	s.mustRun("restart", "a")
	if _, err := io.CopyN(&out, reader, int64(len(restarted))); err != nil {
		t.Errorf("follow: %v", err)
	}
	want := last + restarted
	if out.String() != want {
		t.Errorf("logs -f: %q", out.String())
	}
	if err := follow.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := follow.Wait(); err != nil {
		t.Errorf("interrupted logs -f: %v", err)
	}
}
