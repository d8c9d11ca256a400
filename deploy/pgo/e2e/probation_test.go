package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"pgo/deploy/pgo/internal/control"
)

// A release that does not last goes, by itself, and the one before comes back.
func TestProbation(t *testing.T) {
	s := newWatched(t, "v1")
	s.must("up")
	s.answers("v1")
	s.proven("v1")
	s.deploy(build(t, "crashes"))
	s.refusal("exit code 4, 2 times while it was on probation; went back to release ")
	s.answers("v1")
	s.fails(exitFailed, []string{"web does not run what was deployed", "went back to release"}, "up")
	if out := s.must("list"); !strings.Contains(out, "went back to release") {
		t.Errorf("list:\n%s", out)
	}
	if out := s.must("events"); strings.Count(out, "went back to release") != 1 {
		t.Errorf("events:\n%s", out)
	}
	// It is not tried again, whoever starts anew.
	s.killManager()
	s.must("down")
	s.fails(exitFailed, []string{"was found bad before"}, "up")
	s.answers("v1")
	s.deploy(build(t, "v2"))
	s.answers("v2")
	s.must("up")
	if got := strings.Count(s.read(".pgo/logs/web.log"), "build crashes runs"); got != 2 {
		t.Errorf("the bad one ran %d times", got)
	}
}

// What a gate does not let run is not gone back to.
func TestProbationThatCannotGoBack(t *testing.T) {
	s := newWatched(t, "v1")
	s.must("up")
	s.proven("v1")
	s.write(strings.Replace(watched, "probation: 3s", "probation: 1m", 1)) // time enough to crash twice
	s.must("up")
	s.deploy(build(t, "v2"))
	s.answers("v2")
	touch(t, filepath.Join(s.dir, "forbidden"))
	url := s.url()
	for range 2 {
		before := s.becomes("web", control.Ready).PID
		_, _ = get(url + "/crash")
		eventually(t, "it is started again", func() error {
			if p := s.list()["web"]; p.PID == before || !p.Ready {
				return fmt.Errorf("%+v", p)
			}
			return nil
		})
	}
	s.refusal("not gone back: gate: does not let it run: exit status 1: there is ")
	s.answers("v2")
	s.fails(exitFailed, []string{"web stays at release", "does not let it run"}, "rollback")
	s.answers("v2")
}

// proven waits until the release that is live has proven itself.
func (s *stack) proven(version string) {
	s.Helper()
	eventually(s.T, version+" is good", func() error {
		if out := s.must("releases", "web"); !strings.Contains(out, version+" ") || !strings.Contains(out, "current, good") {
			return errors.New(out)
		}
		return nil
	})
}

// After a failed reload it is the old program that is started again, also after a crash.
func TestCrashAfterAFailedDeploy(t *testing.T) {
	s := newWatched(t, "v1")
	s.must("up")
	s.answers("v1")
	s.deploy(build(t, "exits"))
	s.refusal("exit code 3")
	before := s.list()["web"].PID
	_, _ = get(s.url() + "/crash")
	eventually(t, "it is started again", func() error {
		if p := s.list()["web"]; p.PID == before || !p.Ready {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	s.answers("v1")
}

// What grows over its limit is replaced, with no dropped request; a warning comes before.
func TestMemoryLimit(t *testing.T) {
	s := newWatched(t, "v1")
	s.write(strings.Replace(watched, "restart: {", "limits: {memory: 100MB}, restart: {", 1))
	s.must("up")
	before := s.answers("v1")
	l := startLoad(t, s.url())
	if _, err := get(s.url() + "/grow?85"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it warns", func() error {
		if out := s.must("events"); !strings.Contains(out, "% of its memory limit") {
			return errors.New(out)
		}
		return nil
	})
	if p := s.list()["web"]; p.PID != before.PID {
		t.Errorf("it was replaced below its limit: %+v", p)
	}
	if _, err := get(s.url() + "/grow?30"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is replaced", func() error {
		if p := s.list()["web"]; p.PID == before.PID || !p.Ready {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	l.none(t)
	if p := s.list()["web"]; p.Restarts != 0 {
		t.Errorf("%+v", p)
	}
	if out := s.must("events"); strings.Count(out, ": it is made new") != 1 {
		t.Errorf("events:\n%s", out)
	}
}
