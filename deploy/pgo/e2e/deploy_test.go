package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/control"
)

// A new program answers whatever way it comes, and no request fails.
func TestDeploy(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		bring func(s *sandbox, text []byte)
	}{
		{"renamed into place", func(s *sandbox, text []byte) { s.deployProgram(text) }},
		{"cat over the file", func(s *sandbox, text []byte) { s.overwriteProgram(text, os.O_TRUNC, 1, 0) }},
		{"over the file without truncating, slowly", func(s *sandbox, text []byte) { s.overwriteProgram(text, 0, 10, 100*time.Millisecond) }},
		{"removed, then written slowly", func(s *sandbox, text []byte) {
			if err := errors.Join(os.Remove(s.deployedPath()), os.WriteFile(s.deployedPath(), nil, 0o755)); err != nil {
				s.t.Fatal(err)
			}
			s.overwriteProgram(text, 0, 10, 100*time.Millisecond)
		}},
		{"and reload is asked for at once", func(s *sandbox, text []byte) {
			s.deployProgram(text)
			s.mustRun("reload", "web")
		}},
		{"and up is asked for at once", func(s *sandbox, text []byte) {
			s.deployProgram(text)
			s.mustRun("up")
		}},
	}
	s := newWatchedSandbox(t, "v1")
	s.mustRun("up")
	if p := s.awaitBuild("v1"); p.Release == "" {
		t.Errorf("the first start is not from the store: %+v", p)
	}
	builds := []string{"v2", "v3"}
	for n, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			build, url := buildRelease(t, builds[n%2]), s.webURL()
			l := startLoad(t, url)
			test.bring(s, build)
			began := time.Now()
			s.awaitBuild(builds[n%2])
			t.Logf("answered by the new one after %s", time.Since(began))
			if answered := l.assertNoFailures(t); answered != 2 {
				t.Errorf("%d builds answered: %v", answered, l.pids)
			}
		})
	}
	if p := s.listByName()["gate"]; p.Restarts > 0 || !p.Ready {
		t.Errorf("the gate: %+v", p)
	}
	if seen := s.readFile("seen"); !strings.HasPrefix(seen, filepath.Join(s.homeDir(), "releases", "web")) {
		t.Errorf("the gate looked at %s", seen)
	}
}

// An invalid program is not started, its failure is reported once, and no request fails.
func TestDeployBad(t *testing.T) {
	t.Parallel()
	s := newWatchedSandbox(t, "v1")
	s.mustRun("up")
	before := s.awaitBuild("v1")
	v1, v2 := buildRelease(t, "v1"), buildRelease(t, "v2")
	tests := []struct {
		name string
		text []byte
		want string
	}{
		{"cut off", v2[:len(v2)/2], "incomplete"},
		{"mixed", append(append([]byte(nil), v2[:len(v2)/2]...), v1[min(len(v1), len(v2)/2):]...), "mixed"},
		{"for another machine", buildRelease(t, "foreign"), "wrong architecture"},
		{"no program", []byte("hello\n"), "not executable"},
		{"its check fails", buildRelease(t, "unconfigured"), "`check` failed: exit status 78: key auth.secret: is missing"},
		{"ends at once", buildRelease(t, "exits"), "exit code 3"},
		{"never ready", buildRelease(t, "hangs"), "not ready within 10s"},
	}
	l := startLoad(t, s.webURL())
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.deployProgram(test.text)
			s.awaitDeployFailure(test.want)
			if p := s.listByName()["web"]; p.PID != before.PID || p.Status != control.Ready {
				t.Errorf("web: %+v", p)
			}
			s.assertFails(exitFailed, []string{test.want}, "reload", "web")
		})
	}
	s.killManager()
	if p := s.listByName()["web"]; p.PID != before.PID || p.DeployFailure == "" {
		t.Errorf("after the manager was killed: %+v", p)
	}
	s.deployProgram(v1)
	eventually(t, "it is well again", func() error {
		if p := s.listByName()["web"]; p.DeployFailure != "" {
			return errors.New(p.DeployFailure)
		}
		return nil
	})
	s.mustRun("up")
	if answered := l.assertNoFailures(t); answered != 1 {
		t.Errorf("%d builds answered: %v", answered, l.pids)
	}
	events := s.mustRun("events", "-n", "1000")
	for _, text := range []string{"incomplete", "mixed", "wrong architecture", "not executable", "key auth.secret"} {
		if n := strings.Count(events, text); n < 1 || n > 2 { // by the watch, by the reload if it was first, or by both
			t.Errorf("%q was reported %d times:\n%s", text, n, events)
		}
	}
	// A release that was stored may run. A file that only looks like a program never does.
	for _, line := range strings.Split(strings.TrimSpace(s.readFile(".pgo/logs/web.log")), "\n") {
		if line != "build v1 runs" && line != "build exits runs" && line != "build hangs runs" {
			t.Errorf("the log has %q", line)
		}
	}
}

// The gate checks a program before it runs. A gate that cannot answer now is asked again.
func TestDeployAsksTheGate(t *testing.T) {
	t.Parallel()
	s := newWatchedSandbox(t, "v1")
	s.mustRun("up")
	before := s.awaitBuild("v1")
	touchFile(t, filepath.Join(s.dir, "forbidden"))
	s.deployProgram(buildRelease(t, "v2"))
	s.awaitDeployFailure("gate: does not let it run: exit status 1: there is ")
	if p := s.listByName()["web"]; p.PID != before.PID {
		t.Errorf("web: %+v", p)
	}
	if err := os.Remove(filepath.Join(s.dir, "forbidden")); err != nil {
		t.Fatal(err)
	}
	touchFile(t, filepath.Join(s.dir, "later"))
	s.deployProgram(buildRelease(t, "v3"))
	eventually(t, "it was asked", func() error {
		if s.readFile("asked") == "" {
			return errors.New("not yet")
		}
		return nil
	})
	if body, err := getURL(s.webURL()); err != nil || body != "v1" {
		t.Errorf("%s %v", body, err)
	}
	if err := os.Remove(filepath.Join(s.dir, "later")); err != nil {
		t.Fatal(err)
	}
	s.awaitBuild("v3")
	s.mustRun("stop", "gate")
	s.deployProgram(buildRelease(t, "v2"))
	s.mustRun("start", "gate")
	s.awaitBuild("v2")
}

// A gate that has no ask command is restarted, and again where it does not become ready.
func TestDeployRestartsTheGate(t *testing.T) {
	t.Parallel()
	s := newWatchedSandbox(t, "v1")
	_, web, _ := strings.Cut(watchedProcessFile, "  web:")
	s.writeProcessFile(`
  gate: {kind: gate, command: ACTOR, args: [actor, "saw=DIR/seen", "unless=DIR/forbidden", ready], ready: {notify: true}, env: {LOOKS: bin/web}, restart: {first_wait: 10ms}}
  web:` + web)
	s.mustRun("up")
	s.awaitBuild("v1")
	before := s.listByName()
	touchFile(t, filepath.Join(s.dir, "forbidden"))
	s.deployProgram(buildRelease(t, "v2"))
	s.awaitDeployFailure("gate: does not let it run: it is backing-off with it: exit code 1")
	if err := os.Remove(filepath.Join(s.dir, "forbidden")); err != nil {
		t.Fatal(err)
	}
	s.awaitState("gate", control.Ready)
	if p := s.listByName()["web"]; p.PID != before["web"].PID {
		t.Errorf("web: %+v", p)
	}
	s.deployProgram(buildRelease(t, "v3"))
	s.awaitBuild("v3")
	if p := s.listByName()["gate"]; p.PID == before["gate"].PID || !p.Ready {
		t.Errorf("gate: %+v", p)
	}
	if seen := s.readFile("seen"); seen != filepath.Join(s.homeDir(), "releases", "web", "chosen") {
		t.Errorf("the gate looked at %s", seen)
	}
}

// A gate that is a script is run by its path: the program that runs is its interpreter.
func TestDeployAsksAScript(t *testing.T) {
	t.Parallel()
	s := newWatchedSandbox(t, "v1")
	script := "#!/bin/sh\nif [ \"$1\" = ask ]; then echo \"asked about $LOOKS\" > asked; exit; fi\nexec sleep 1000\n"
	if err := os.WriteFile(filepath.Join(s.dir, "gate.sh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	_, web, _ := strings.Cut(watchedProcessFile, "  web:")
	s.writeProcessFile("\n  gate: {kind: gate, command: ./gate.sh, ask: [ask], env: {LOOKS: bin/web}, stop: {timeout: 1s}}\n  web:" + web)
	s.mustRun("up")
	s.deployProgram(buildRelease(t, "v2"))
	s.awaitBuild("v2")
	if asked := s.readFile("asked"); !strings.HasPrefix(asked, "asked about "+filepath.Join(s.homeDir(), "releases", "web")) {
		t.Errorf("it printed %q", asked)
	}
}

func TestRollback(t *testing.T) {
	t.Parallel()
	s := newWatchedSandbox(t, "v1")
	s.assertFails(exitUnavailable, []string{"pgo is not running"}, "rollback", "web")
	s.mustRun("up")
	s.awaitGood("v1")
	s.assertFails(exitFailed, []string{"no good release to roll back to", "pgo releases web"}, "rollback")
	s.assertFails(exitFailed, []string{"gate has no releases"}, "rollback", "gate")
	s.assertFails(exitFailed, []string{`no process "wbe"`}, "rollback", "wbe")
	s.assertFails(exitFailed, []string{"no such release"}, "rollback", "web", "v9")
	s.assertFails(exitUsage, nil, "rollback", "web", "v1", "v2")
	s.deployProgram(buildRelease(t, "v2"))
	s.awaitBuild("v2")
	s.awaitGood("v2")
	s.deployProgram(buildRelease(t, "v3"))
	s.awaitBuild("v3")
	l := startLoad(t, s.webURL())
	began := time.Now()
	s.mustRun("rollback")
	t.Logf("rolled back in %s", time.Since(began))
	s.awaitBuild("v2")
	s.mustRun("rollback", "web")
	s.awaitBuild("v1")
	s.assertFails(exitFailed, []string{"no good release to roll back to"}, "rollback", "web")
	s.mustRun("rollback", "web", "v3")
	s.awaitBuild("v3")
	s.mustRun("rollback", "web", "v1")
	if answered := l.assertNoFailures(t); answered != 3 {
		t.Errorf("%d builds answered: %v", answered, l.pids)
	}
	// A release that was rolled back is not deployed again, though its file is still there.
	s.mustRun("up")
	s.mustRun("reload", "web")
	s.mustRun("down")
	s.mustRun("up")
	s.awaitBuild("v1")
	if out := s.mustRun("releases"); strings.Count(out, "\nweb ") != 3 || !strings.Contains(out, "rolled back by command") {
		t.Errorf("releases:\n%s", out)
	}
	s.assertFails(exitFailed, []string{"there are no releases of gate"}, "releases", "gate")
	s.mustRun("releases", "--json")
}

// An invalid program is not started by the first up either. A valid one that comes later is.
func TestFirstDeploy(t *testing.T) {
	t.Parallel()
	s := newWatchedSandbox(t, "v1")
	v1 := buildRelease(t, "v1")
	s.deployProgram(v1[:len(v1)/2])
	s.assertFails(exitFailed, []string{"web is not ready: failed: ", "incomplete"}, "up")
	if log := s.readFile(".pgo/logs/web.log"); log != "" {
		t.Errorf("it ran: %s", log)
	}
	s.deployProgram(v1)
	s.awaitBuild("v1")
	s.mustRun("stop", "web")
	s.deployProgram(buildRelease(t, "v2"))
	eventually(t, "it is stored", func() error {
		if out := s.mustRun("releases"); !strings.Contains(out, "v2") || !strings.Contains(out, "current") {
			return errors.New(out)
		}
		return nil
	})
	if p := s.listByName()["web"]; p.Status != control.Stopped {
		t.Errorf("what was stopped was started: %+v", p)
	}
	s.mustRun("start", "web")
	s.awaitBuild("v2")
}

// A store that cannot take a copy leaves everything as it is. A reload tries again.
func TestDeployWithoutRoom(t *testing.T) {
	t.Parallel()
	s := newWatchedSandbox(t, "v1")
	s.mustRun("up")
	before := s.awaitBuild("v1")
	releases := filepath.Join(s.homeDir(), "releases")
	aside := releases + ".aside"
	if err := errors.Join(os.Rename(releases, aside), os.WriteFile(releases, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	s.deployProgram(buildRelease(t, "v2"))
	s.awaitDeployFailure("not a directory")
	if p := s.listByName()["web"]; p.PID != before.PID || !p.Ready {
		t.Errorf("web: %+v", p)
	}
	if err := errors.Join(os.Remove(releases), os.Rename(aside, releases)); err != nil {
		t.Fatal(err)
	}
	s.mustRun("reload", "web")
	s.awaitBuild("v2")
}

// Releases over the limit are deleted, but never one that is needed.
func TestDeployKeepsThree(t *testing.T) {
	t.Parallel()
	s := newWatchedSandbox(t, "v1")
	s.mustRun("up")
	s.awaitGood("v1")
	s.writeProcessFile(strings.Replace(watchedProcessFile, "probation: 3s", "probation: 1h", 1)) // no other passes its probation
	s.mustRun("up")
	for _, name := range []string{"v2", "v3", "v4", "v5"} {
		s.deployProgram(buildRelease(t, name))
		s.mustRun("reload", "web")
		s.awaitBuild(name)
	}
	out := s.mustRun("releases", "web")
	if n := strings.Count(out, "\nweb "); n != 3 || !strings.Contains(out, "v1 ") || !strings.Contains(out, "v5 ") {
		t.Errorf("releases:\n%s", out)
	}
	s.mustRun("rollback")
	s.awaitBuild("v1")
}

// A process of another user runs from the store too.
func TestDeployForAnotherUser(t *testing.T) {
	t.Parallel()
	s := newWatchedSandbox(t, "v1")
	s.writeProcessFile(strings.Replace(watchedProcessFile, "watch: {", "user: nobody, watch: {", 1))
	if err := os.Chmod(s.socketsDir, 0o711); err != nil {
		t.Fatal(err)
	}
	for dir := s.dir; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() != 0 {
		s.assertFails(exitFailed, []string{"not permitted"}, "up")
		return
	}
	s.mustRun("up")
	p := s.awaitBuild("v1")
	if status := s.readProcStatus(p.PID); !strings.Contains(status, "Uid:\t65534") {
		t.Errorf("it runs as:\n%s", status)
	}
}

func (s *sandbox) readProcStatus(pid int) string {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}
