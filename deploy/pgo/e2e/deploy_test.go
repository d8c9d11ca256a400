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

// Every way to bring a new program: it answers, and no request fails.
func TestDeploy(t *testing.T) {
	tests := []struct {
		name  string
		bring func(s *stack, text []byte)
	}{
		{"renamed into place", func(s *stack, text []byte) { s.deploy(text) }},
		{"cat over the file", func(s *stack, text []byte) { s.over(text, os.O_TRUNC, 1, 0) }},
		{"over the file without truncating, slowly", func(s *stack, text []byte) { s.over(text, 0, 10, 100*time.Millisecond) }},
		{"removed, then written slowly", func(s *stack, text []byte) {
			if err := errors.Join(os.Remove(s.deployed()), os.WriteFile(s.deployed(), nil, 0o755)); err != nil {
				s.Fatal(err)
			}
			s.over(text, 0, 10, 100*time.Millisecond)
		}},
		{"and reload is asked for at once", func(s *stack, text []byte) {
			s.deploy(text)
			s.must("reload", "web")
		}},
		{"and up is asked for at once", func(s *stack, text []byte) {
			s.deploy(text)
			s.must("up")
		}},
	}
	s := newWatched(t, "v1")
	s.must("up")
	if p := s.answers("v1"); p.Release == "" {
		t.Errorf("the first start is not from the store: %+v", p)
	}
	builds := []string{"v2", "v3"}
	for n, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			build, url := build(t, builds[n%2]), s.url()
			l := startLoad(t, url)
			test.bring(s, build)
			began := time.Now()
			s.answers(builds[n%2])
			t.Logf("answered by the new one after %s", time.Since(began))
			if answered := l.none(t); answered != 2 {
				t.Errorf("%d builds answered: %v", answered, l.pids)
			}
		})
	}
	if p := s.list()["gate"]; p.Restarts > 0 || !p.Ready {
		t.Errorf("the gate: %+v", p)
	}
	if seen := s.read("seen"); !strings.HasPrefix(seen, filepath.Join(s.home(), "releases", "web")) {
		t.Errorf("the gate looked at %s", seen)
	}
}

// What must not run does not, is reported once, and nobody notices.
func TestDeployBad(t *testing.T) {
	t.Parallel()
	s := newWatched(t, "v1")
	s.must("up")
	before := s.answers("v1")
	v1, v2 := build(t, "v1"), build(t, "v2")
	tests := []struct {
		name string
		text []byte
		says string
	}{
		{"cut off", v2[:len(v2)/2], "incomplete"},
		{"mixed", append(append([]byte(nil), v2[:len(v2)/2]...), v1[min(len(v1), len(v2)/2):]...), "mixed"},
		{"for another machine", build(t, "foreign"), "wrong architecture"},
		{"no program", []byte("hello\n"), "not executable"},
		{"its check fails", build(t, "unconfigured"), "`check` failed: exit status 78: key auth.secret: is missing"},
		{"ends at once", build(t, "exits"), "exit code 3"},
		{"never ready", build(t, "hangs"), "not ready within 10s"},
	}
	l := startLoad(t, s.url())
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.deploy(test.text)
			s.refusal(test.says)
			if p := s.list()["web"]; p.PID != before.PID || p.Status != control.Ready {
				t.Errorf("web: %+v", p)
			}
			s.fails(exitFailed, []string{test.says}, "reload", "web")
		})
	}
	s.killManager()
	if p := s.list()["web"]; p.PID != before.PID || p.DeployFailure == "" {
		t.Errorf("after the manager was killed: %+v", p)
	}
	s.deploy(v1)
	eventually(t, "it is well again", func() error {
		if p := s.list()["web"]; p.DeployFailure != "" {
			return errors.New(p.DeployFailure)
		}
		return nil
	})
	s.must("up")
	if answered := l.none(t); answered != 1 {
		t.Errorf("%d builds answered: %v", answered, l.pids)
	}
	events := s.must("events", "-n", "1000")
	for _, text := range []string{"incomplete", "mixed", "wrong architecture", "not executable", "key auth.secret"} {
		if n := strings.Count(events, text); n < 1 || n > 2 { // by the watch, or by the reload that was quicker, or both
			t.Errorf("%q was reported %d times:\n%s", text, n, events)
		}
	}
	// What was in the store already may run; what only looked like a program never did.
	for _, line := range strings.Split(strings.TrimSpace(s.read(".pgo/logs/web.log")), "\n") {
		if line != "build v1 runs" && line != "build exits runs" && line != "build hangs runs" {
			t.Errorf("the log has %q", line)
		}
	}
}

// The gate looks at a program before it runs, and one that cannot tell now is asked again.
func TestDeployAsksTheGate(t *testing.T) {
	t.Parallel()
	s := newWatched(t, "v1")
	s.must("up")
	before := s.answers("v1")
	touch(t, filepath.Join(s.dir, "forbidden"))
	s.deploy(build(t, "v2"))
	s.refusal("gate: does not let it run: exit status 1: there is ")
	if p := s.list()["web"]; p.PID != before.PID {
		t.Errorf("web: %+v", p)
	}
	if err := os.Remove(filepath.Join(s.dir, "forbidden")); err != nil {
		t.Fatal(err)
	}
	touch(t, filepath.Join(s.dir, "later"))
	s.deploy(build(t, "v3"))
	eventually(t, "it was asked", func() error {
		if s.read("asked") == "" {
			return errors.New("not yet")
		}
		return nil
	})
	if body, err := get(s.url()); err != nil || body != "v1" {
		t.Errorf("%s %v", body, err)
	}
	if err := os.Remove(filepath.Join(s.dir, "later")); err != nil {
		t.Fatal(err)
	}
	s.answers("v3")
	s.must("stop", "gate")
	s.deploy(build(t, "v2"))
	s.must("start", "gate")
	s.answers("v2")
}

// A gate that cannot be asked is started anew, and once more where it does not become ready.
func TestDeployStartsTheGateAnew(t *testing.T) {
	t.Parallel()
	s := newWatched(t, "v1")
	_, web, _ := strings.Cut(watched, "  web:")
	s.write(`
  gate: {kind: gate, command: ACTOR, args: [actor, "saw=DIR/seen", "unless=DIR/forbidden", ready], ready: {notify: true}, env: {LOOKS: bin/web}, restart: {first_wait: 10ms}}
  web:` + web)
	s.must("up")
	s.answers("v1")
	before := s.list()
	touch(t, filepath.Join(s.dir, "forbidden"))
	s.deploy(build(t, "v2"))
	s.refusal("gate: does not let it run: it is backing-off with it: exit code 1")
	if err := os.Remove(filepath.Join(s.dir, "forbidden")); err != nil {
		t.Fatal(err)
	}
	s.becomes("gate", control.Ready)
	if p := s.list()["web"]; p.PID != before["web"].PID {
		t.Errorf("web: %+v", p)
	}
	s.deploy(build(t, "v3"))
	s.answers("v3")
	if p := s.list()["gate"]; p.PID == before["gate"].PID || !p.Ready {
		t.Errorf("gate: %+v", p)
	}
	if seen := s.read("seen"); seen != filepath.Join(s.home(), "releases", "web", "chosen") {
		t.Errorf("the gate looked at %s", seen)
	}
}

func TestRollback(t *testing.T) {
	t.Parallel()
	s := newWatched(t, "v1")
	s.fails(exitUnavailable, []string{"pgo is not running"}, "rollback", "web")
	s.must("up")
	s.proven("v1")
	s.fails(exitFailed, []string{"no good release to roll back to", "pgo releases web"}, "rollback")
	s.fails(exitFailed, []string{"gate has no releases"}, "rollback", "gate")
	s.fails(exitFailed, []string{`no process "wbe"`}, "rollback", "wbe")
	s.fails(exitFailed, []string{"no such release"}, "rollback", "web", "v9")
	s.fails(exitUsage, nil, "rollback", "web", "v1", "v2")
	s.deploy(build(t, "v2"))
	s.answers("v2")
	s.proven("v2")
	s.deploy(build(t, "v3"))
	s.answers("v3")
	l := startLoad(t, s.url())
	began := time.Now()
	s.must("rollback")
	t.Logf("rolled back in %s", time.Since(began))
	s.answers("v2")
	s.must("rollback", "web")
	s.answers("v1")
	s.fails(exitFailed, []string{"no good release to roll back to"}, "rollback", "web")
	s.must("rollback", "web", "v3")
	s.answers("v3")
	s.must("rollback", "web", "v1")
	if answered := l.none(t); answered != 3 {
		t.Errorf("%d builds answered: %v", answered, l.pids)
	}
	// What was left stays left, though its file is there still.
	s.must("up")
	s.must("reload", "web")
	s.must("down")
	s.must("up")
	s.answers("v1")
	if out := s.must("releases"); strings.Count(out, "\nweb ") != 3 || !strings.Contains(out, "rolled back by command") {
		t.Errorf("releases:\n%s", out)
	}
	s.fails(exitFailed, []string{"there are no releases of gate"}, "releases", "gate")
	s.must("releases", "--json")
}

// What cannot run is not started at first either; it is when a good one comes.
func TestFirstDeploy(t *testing.T) {
	s := newWatched(t, "v1")
	v1 := build(t, "v1")
	s.deploy(v1[:len(v1)/2])
	s.fails(exitFailed, []string{"web is not ready: failed: ", "incomplete"}, "up")
	if log := s.read(".pgo/logs/web.log"); log != "" {
		t.Errorf("it ran: %s", log)
	}
	s.deploy(v1)
	s.answers("v1")
	s.must("stop", "web")
	s.deploy(build(t, "v2"))
	eventually(t, "it is stored", func() error {
		if out := s.must("releases"); !strings.Contains(out, "v2") || !strings.Contains(out, "current") {
			return errors.New(out)
		}
		return nil
	})
	if p := s.list()["web"]; p.Status != control.Stopped {
		t.Errorf("what was stopped was started: %+v", p)
	}
	s.must("start", "web")
	s.answers("v2")
}

// A store that cannot take a copy leaves all as it is, and is tried again by a reload.
func TestDeployWithoutRoom(t *testing.T) {
	t.Parallel()
	s := newWatched(t, "v1")
	s.must("up")
	before := s.answers("v1")
	releases := filepath.Join(s.home(), "releases")
	aside := releases + ".aside"
	if err := errors.Join(os.Rename(releases, aside), os.WriteFile(releases, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	s.deploy(build(t, "v2"))
	s.refusal("not a directory")
	if p := s.list()["web"]; p.PID != before.PID || !p.Ready {
		t.Errorf("web: %+v", p)
	}
	if err := errors.Join(os.Remove(releases), os.Rename(aside, releases)); err != nil {
		t.Fatal(err)
	}
	s.must("reload", "web")
	s.answers("v2")
}

// The releases that are too many go; never one that is needed.
func TestDeployKeepsThree(t *testing.T) {
	t.Parallel()
	s := newWatched(t, "v1")
	s.must("up")
	s.proven("v1")
	s.write(strings.Replace(watched, "probation: 3s", "probation: 1h", 1)) // none of the others proves itself
	s.must("up")
	for _, name := range []string{"v2", "v3", "v4", "v5"} {
		s.deploy(build(t, name))
		s.must("reload", "web")
		s.answers(name)
	}
	out := s.must("releases", "web")
	if n := strings.Count(out, "\nweb "); n != 3 || !strings.Contains(out, "v1 ") || !strings.Contains(out, "v5 ") {
		t.Errorf("releases:\n%s", out)
	}
	s.must("rollback")
	s.answers("v1")
}

// A process of another user runs from the store too.
func TestDeployForAnotherUser(t *testing.T) {
	s := newWatched(t, "v1")
	s.write(strings.Replace(watched, "watch: {", "user: nobody, watch: {", 1))
	if err := os.Chmod(s.sockets, 0o711); err != nil {
		t.Fatal(err)
	}
	for dir := s.dir; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() != 0 {
		s.fails(exitFailed, []string{"not permitted"}, "up")
		return
	}
	s.must("up")
	p := s.answers("v1")
	if status := s.status(p.PID); !strings.Contains(status, "Uid:\t65534") {
		t.Errorf("it runs as:\n%s", status)
	}
}

func (s *stack) status(pid int) string {
	s.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}
