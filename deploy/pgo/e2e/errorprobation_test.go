package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// errorProbationFile has a watched process whose 5xx responses are counted during probation.
var errorProbationFile = strings.NewReplacer(
	`{http: "127.0.0.1:0"}`, `{http: "127.0.0.1:0", admin: {addr: "127.0.0.1:0", shared: false}}`,
	"probation: 3s", "probation: 8s, errors: true",
).Replace(watchedProcessFile)

// newErrorSandbox returns a sandbox in which v1 has passed its probation.
func newErrorSandbox(t *testing.T) *sandbox {
	t.Helper()
	s := newWatchedSandbox(t, "v1")
	s.setHTTP(`"127.0.0.1:0"`, errorProbationFile)
	s.mustRun("up")
	s.awaitGood("v1")
	return s
}

// awaitEvent waits for an event with this text.
func (s *sandbox) awaitEvent(want string) {
	s.t.Helper()
	eventually(s.t, "there is the event: "+want, func() error {
		if out := s.mustRun("events", "-n", "1000"); !strings.Contains(out, want) {
			return errors.New(out)
		}
		return nil
	})
}

// A release that serves with errors is rolled back by itself.
func TestProbationOfErrors(t *testing.T) {
	t.Parallel()
	s := newErrorSandbox(t)
	l := startLoad(t, s.webURL())
	s.deployProgram(buildRelease(t, "fails"))
	s.awaitDeployFailure(" requests ended with 5xx while it was on probation, 0.0 % before it; went back to release ")
	s.awaitBuild("v1")
	s.awaitGood("v1")
	s.assertLines("metrics", s.mustGetPage("/metrics"), `pgo_reload_total{name="web",result="rolled_back"} 1`)
	l.stop()
	for _, err := range l.errors {
		if err != "answer 500 Internal Server Error" {
			t.Errorf("a request was dropped: %s", err)
		}
	}
	s.assertFails(exitFailed, []string{"web does not run what was deployed", "went back to release"}, "up")
	s.killManager()
	s.assertFails(exitFailed, []string{"was found bad before: "}, "reload", "web")
	if got := strings.Count(s.readFile(".pgo/logs/web.log"), "build fails runs"); got != 1 {
		t.Errorf("the bad one ran %d times", got)
	}
	s.deployProgram(buildRelease(t, "v2"))
	s.awaitBuild("v2")
	s.mustRun("up")
}

// A release with no more errors than the previous one may be the cure. It stays, also when its manager was killed.
func TestProbationOfErrorsAsBefore(t *testing.T) {
	t.Parallel()
	s := newErrorSandbox(t)
	l := startLoad(t, s.webURL()+"/fail")
	eventually(t, "some have failed", func() error {
		if n := l.failed.Load(); n < 100 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	s.deployProgram(buildRelease(t, "v2"))
	s.awaitEvent(" (v2) was deployed")
	s.killManager()
	s.awaitEvent(" (v2) has proven itself")
	if p := s.listByName()["web"]; p.Version != "v2" || p.DeployFailure != "" {
		t.Errorf("%+v", p)
	}
	if l.stop(); l.failed.Load() != l.sent.Load() {
		t.Errorf("%d of %d failed", l.failed.Load(), l.sent.Load())
	}
}

// A release that cannot be rolled back stays, is reported once, and passes its probation when its errors end.
func TestProbationOfErrorsThatCannotRollBack(t *testing.T) {
	t.Parallel()
	s := newErrorSandbox(t)
	s.setHTTP(`"127.0.0.1:0"`, strings.Replace(errorProbationFile, "probation: 8s", "probation: 15s", 1)) // long enough to forbid it
	s.mustRun("up")
	s.deployProgram(buildRelease(t, "v2"))
	s.awaitBuild("v2")
	touchFile(t, filepath.Join(s.dir, "forbidden"))
	l := startLoad(t, s.webURL()+"/fail")
	s.awaitDeployFailure("not gone back: gate: does not let it run: exit status 1: there is ")
	l.stop()
	s.awaitEvent(" (v2) has proven itself")
	if out := s.mustRun("events", "-n", "1000"); strings.Count(out, "; not gone back: ") != 1 {
		t.Errorf("there is more than one event:\n%s", out)
	}
}

// Metrics without status codes are no reason to roll back.
func TestProbationOfErrorsNotKnown(t *testing.T) {
	t.Parallel()
	s := newErrorSandbox(t)
	l := startLoad(t, s.webURL())
	s.deployProgram(buildRelease(t, "secretive"))
	s.awaitEvent("how many requests fail is not known: pid ")
	s.awaitEvent(" (secretive) has proven itself")
	l.assertNoFailures(t)
	if out := s.mustRun("events", "-n", "1000"); strings.Count(out, "is not known") != 1 {
		t.Errorf("there is more than one event:\n%s", out)
	}
}

// The result of each deploy is counted, and the counters continue with the next manager.
func TestDeploysAreCounted(t *testing.T) {
	t.Parallel()
	s := newErrorSandbox(t)
	v2 := buildRelease(t, "v2")
	for _, bad := range []struct {
		text []byte
		want string
	}{{v2[:len(v2)/2], "incomplete"}, {buildRelease(t, "unconfigured"), "`check` failed"}, {buildRelease(t, "exits"), "exit code 3"}} {
		s.deployProgram(bad.text)
		s.awaitDeployFailure(bad.want)
	}
	touchFile(t, filepath.Join(s.dir, "forbidden"))
	s.deployProgram(v2)
	s.awaitDeployFailure("does not let it run")
	if err := os.Remove(filepath.Join(s.dir, "forbidden")); err != nil {
		t.Fatal(err)
	}
	s.mustRun("reload", "web")
	live := s.awaitBuild("v2")
	s.killManager()
	text := s.mustGetPage("/metrics")
	lintMetrics(t, text)
	s.assertLines("metrics", text,
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
	if took := metricValue(t, text, `pgo_deploy_last_duration_seconds{name="web"}`); took <= 0 {
		t.Errorf("the last deploy took %f s", took)
	}
	if strings.Contains(text, `pgo_deploy_total{name="gate"`) {
		t.Errorf("what is not watched counts deploys:\n%s", text)
	}
}
