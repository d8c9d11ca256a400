package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/control"
)

// A release that does not pass its probation is rolled back by itself.
func TestProbation(t *testing.T) {
	t.Parallel()
	s := newWatchedSandbox(t, "v1")
	s.mustRun("up")
	s.awaitBuild("v1")
	s.awaitGood("v1")
	s.deployProgram(buildRelease(t, "crashes"))
	s.awaitDeployFailure("exit code 4, 2 times while it was on probation; went back to release ")
	s.awaitBuild("v1")
	s.assertFails(exitFailed, []string{"web does not run what was deployed", "went back to release"}, "up")
	if out := s.mustRun("list"); !strings.Contains(out, "went back to release") {
		t.Errorf("list:\n%s", out)
	}
	if out := s.mustRun("events"); strings.Count(out, "went back to release") != 1 {
		t.Errorf("events:\n%s", out)
	}
	// It is not tried again, whatever restarts.
	s.killManager()
	s.mustRun("down")
	s.assertFails(exitFailed, []string{"was found bad before"}, "up")
	s.awaitBuild("v1")
	s.deployProgram(buildRelease(t, "v2"))
	s.awaitBuild("v2")
	s.mustRun("up")
	if got := strings.Count(s.readFile(".pgo/logs/web.log"), "build crashes runs"); got != 2 {
		t.Errorf("the bad one ran %d times", got)
	}
}

// A release that the gate forbids is not rolled back to.
func TestProbationThatCannotRollBack(t *testing.T) {
	t.Parallel()
	s := newWatchedSandbox(t, "v1")
	s.mustRun("up")
	s.awaitGood("v1")
	s.writeProcessFile(strings.Replace(watchedProcessFile, "probation: 3s", "probation: 1m", 1)) // long enough to crash twice
	s.mustRun("up")
	s.deployProgram(buildRelease(t, "v2"))
	s.awaitBuild("v2")
	touchFile(t, filepath.Join(s.dir, "forbidden"))
	url := s.webURL()
	for range 2 {
		before := s.awaitState("web", control.Ready).PID
		_, _ = getURL(url + "/crash")
		eventually(t, "it is started again", func() error {
			if p := s.listByName()["web"]; p.PID == before || !p.Ready {
				return fmt.Errorf("%+v", p)
			}
			return nil
		})
	}
	s.awaitDeployFailure("not gone back: gate: does not let it run: exit status 1: there is ")
	s.awaitBuild("v2")
	s.assertFails(exitFailed, []string{"web stays at release", "does not let it run"}, "rollback")
	s.awaitBuild("v2")
}

// awaitGood waits until the current release, with this version, has passed its probation.
func (s *sandbox) awaitGood(version string) {
	s.t.Helper()
	eventually(s.t, version+" is good", func() error {
		if out := s.mustRun("releases", "web"); !strings.Contains(out, version+" ") || !strings.Contains(out, "current, good") {
			return errors.New(out)
		}
		return nil
	})
}

// After a failed reload it is the old program that is started again, also after a crash.
func TestCrashAfterAFailedDeploy(t *testing.T) {
	t.Parallel()
	s := newWatchedSandbox(t, "v1")
	s.mustRun("up")
	s.awaitBuild("v1")
	s.deployProgram(buildRelease(t, "exits"))
	s.awaitDeployFailure("exit code 3")
	before := s.listByName()["web"].PID
	_, _ = getURL(s.webURL() + "/crash")
	eventually(t, "it is started again", func() error {
		if p := s.listByName()["web"]; p.PID == before || !p.Ready {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	s.awaitBuild("v1")
}

// A process over its memory limit is replaced without a dropped request; a warning comes before.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	s := newWatchedSandbox(t, "v1")
	s.writeProcessFile(strings.Replace(watchedProcessFile, "restart: {", "limits: {memory: 100MB}, restart: {", 1))
	s.mustRun("up")
	before := s.awaitBuild("v1")
	l := startLoad(t, s.webURL())
	if _, err := getURL(s.webURL() + "/grow?85"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it warns", func() error {
		if out := s.mustRun("events"); !strings.Contains(out, "% of its memory limit") {
			return errors.New(out)
		}
		return nil
	})
	if p := s.listByName()["web"]; p.PID != before.PID {
		t.Errorf("it was replaced below its limit: %+v", p)
	}
	if _, err := getURL(s.webURL() + "/grow?30"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is replaced", func() error {
		if p := s.listByName()["web"]; p.PID == before.PID || !p.Ready {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	l.assertNoFailures(t)
	if p := s.listByName()["web"]; p.Restarts != 0 {
		t.Errorf("%+v", p)
	}
	if out := s.mustRun("events"); strings.Count(out, ": it is replaced") != 1 {
		t.Errorf("events:\n%s", out)
	}
}
