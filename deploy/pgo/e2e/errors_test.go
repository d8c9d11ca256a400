package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// counting is a watched process whose errors are looked at.
var counting = strings.NewReplacer(
	`{http: "127.0.0.1:0"}`, `{http: "127.0.0.1:0", admin: {addr: "127.0.0.1:0", shared: false}}`,
	"probation: 3s", "probation: 8s, errors: true",
).Replace(watched)

// newCounting is a stack of which v1 has proven itself.
func newCounting(t *testing.T) *stack {
	t.Helper()
	s := newWatched(t, "v1")
	s.serveHTTP(`"127.0.0.1:0"`, counting)
	s.must("up")
	s.proven("v1")
	return s
}

// event waits for one that says so.
func (s *stack) event(says string) {
	s.Helper()
	eventually(s.T, "it is told: "+says, func() error {
		if out := s.must("events", "-n", "1000"); !strings.Contains(out, says) {
			return errors.New(out)
		}
		return nil
	})
}

// A release that serves, but not well, goes by itself.
func TestProbationOfErrors(t *testing.T) {
	t.Parallel()
	s := newCounting(t)
	l := startLoad(t, s.url())
	s.deploy(build(t, "fails"))
	s.refusal(" requests ended with 5xx while it was on probation, 0.0 % before it; went back to release ")
	s.answers("v1")
	s.proven("v1")
	s.has("metrics", s.page("/metrics"), `pgo_reload_total{name="web",result="rolled_back"} 1`)
	l.stop()
	for _, err := range l.errors {
		if err != "answer 500 Internal Server Error" {
			t.Errorf("a request was dropped: %s", err)
		}
	}
	s.fails(exitFailed, []string{"web does not run what was deployed", "went back to release"}, "up")
	s.killManager()
	s.fails(exitFailed, []string{"was found bad before: "}, "reload", "web")
	if got := strings.Count(s.read(".pgo/logs/web.log"), "build fails runs"); got != 1 {
		t.Errorf("the bad one ran %d times", got)
	}
	s.deploy(build(t, "v2"))
	s.answers("v2")
	s.must("up")
}

// One that fails no more than the one before may be what heals it. It stays, also when its manager was killed.
func TestProbationOfErrorsAsBefore(t *testing.T) {
	t.Parallel()
	s := newCounting(t)
	l := startLoad(t, s.url()+"/fail")
	eventually(t, "some have failed", func() error {
		if n := l.failed.Load(); n < 100 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	s.deploy(build(t, "v2"))
	s.event(" (v2) was deployed")
	s.killManager()
	s.event(" (v2) has proven itself")
	if p := s.list()["web"]; p.Version != "v2" || p.DeployFailure != "" {
		t.Errorf("%+v", p)
	}
	if l.stop(); l.failed.Load() != l.asked.Load() {
		t.Errorf("%d of %d failed", l.failed.Load(), l.asked.Load())
	}
}

// What may not be gone back from stays, says so once, and proves itself when it fails no more.
func TestProbationOfErrorsThatCannotGoBack(t *testing.T) {
	t.Parallel()
	s := newCounting(t)
	s.serveHTTP(`"127.0.0.1:0"`, strings.Replace(counting, "probation: 8s", "probation: 15s", 1)) // time enough to forbid it
	s.must("up")
	s.deploy(build(t, "v2"))
	s.answers("v2")
	touch(t, filepath.Join(s.dir, "forbidden"))
	l := startLoad(t, s.url()+"/fail")
	s.refusal("not gone back: gate: does not let it run: exit status 1: there is ")
	l.stop()
	s.event(" (v2) has proven itself")
	if out := s.must("events", "-n", "1000"); strings.Count(out, "; not gone back: ") != 1 {
		t.Errorf("it is told more than once:\n%s", out)
	}
}

// Metrics that tell nothing are no reason to go back.
func TestProbationOfErrorsNotKnown(t *testing.T) {
	t.Parallel()
	s := newCounting(t)
	l := startLoad(t, s.url())
	s.deploy(build(t, "secretive"))
	s.event("how many requests fail is not known: pid ")
	s.event(" (secretive) has proven itself")
	l.none(t)
	if out := s.must("events", "-n", "1000"); strings.Count(out, "is not known") != 1 {
		t.Errorf("it is told more than once:\n%s", out)
	}
}

// What becomes of each program that is deployed is counted, and the counters go on with the next manager.
func TestDeploysAreCounted(t *testing.T) {
	t.Parallel()
	s := newCounting(t)
	v2 := build(t, "v2")
	for _, bad := range []struct {
		text []byte
		says string
	}{{v2[:len(v2)/2], "incomplete"}, {build(t, "unconfigured"), "`check` failed"}, {build(t, "exits"), "exit code 3"}} {
		s.deploy(bad.text)
		s.refusal(bad.says)
	}
	touch(t, filepath.Join(s.dir, "forbidden"))
	s.deploy(v2)
	s.refusal("does not let it run")
	if err := os.Remove(filepath.Join(s.dir, "forbidden")); err != nil {
		t.Fatal(err)
	}
	s.must("reload", "web")
	live := s.answers("v2")
	s.killManager()
	text := s.page("/metrics")
	lint(t, text)
	s.has("metrics", text,
		`pgo_deploy_total{name="web",result="taken",reason=""} 1`,
		`pgo_deploy_total{name="web",result="refused",reason="incomplete"} 1`,
		`pgo_deploy_total{name="web",result="refused",reason="check"} 1`,
		`pgo_deploy_total{name="web",result="refused",reason="not_ready"} 1`,
		`pgo_deploy_total{name="web",result="refused",reason="gate"} 1`,
		`pgo_deploy_total{name="web",result="refused",reason="wrong_architecture"} 0`,
		`pgo_deploy_total{name="web",result="rolled_back",reason="errors"} 0`,
		`pgo_reload_total{name="web",result="refused"} 3`,
		`pgo_reload_total{name="web",result="failed"} 1`,
		`pgo_reload_total{name="web",result="done"} 1`,
		`pgo_process_release_info{name="web",instance="0",release="`+live.Release[:12]+`",version="v2"} 1`,
		`pgo_process_warning{name="web",instance="0",resource="cpu"} 0`,
	)
	if took := value(t, text, `pgo_deploy_last_duration_seconds{name="web"}`); took <= 0 {
		t.Errorf("the last deploy took %f s", took)
	}
	if strings.Contains(text, `pgo_deploy_total{name="gate"`) {
		t.Errorf("what is not watched counts deploys:\n%s", text)
	}
}
