package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgo/deploy/pgo/internal/audit"
	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/home"
	"pgo/deploy/pgo/internal/release"
)

// rollOut rolls a build of web out, as pgo receive has the manager do it, and calls each for each step. It returns the result.
func (s *sandbox) rollOut(ctx context.Context, build string, each func(control.Progress)) audit.Entry {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "web")
	if err := os.WriteFile(file, buildRelease(s.t, build), 0o755); err != nil {
		s.t.Fatal(err)
	}
	store := release.Store{Dir: filepath.Join(s.homeDir(), "releases"), Keep: 3}
	added, err := store.Add(ctx, "web", file)
	if err != nil {
		s.t.Fatal(err)
	}
	client, err := control.Connect(ctx, home.Home(s.homeDir()))
	if err != nil {
		s.t.Fatal(err)
	}
	id := fmt.Sprintf("%08d", time.Now().UnixNano())
	result, err := client.RunRollout(ctx, control.RolloutRequest{Since: time.Now(), Entry: audit.Entry{
		ID: id, Kind: audit.KindDeploy, User: "ci", Changes: []audit.Change{{Process: "web", To: audit.Release{SHA256: added.Record.Verification.SHA256}}},
	}}, each)
	if err != nil {
		s.t.Fatal(err)
	}
	return result
}

// findRelease returns the release of web with this version.
func (s *sandbox) findRelease(version string) release.Record {
	s.t.Helper()
	store := release.Store{Dir: filepath.Join(s.homeDir(), "releases")}
	found, err := store.Find("web", version)
	if err != nil {
		s.t.Fatal(err)
	}
	return found.Record
}

// A deploy whose process is stopped, deleted or changed while it is on probation ends at once with the reason and is rolled back.
// The release is not to blame, and the next deploy starts.
func TestDeployInterrupted(t *testing.T) {
	t.Parallel()
	_, web, _ := strings.Cut(watchedProcessFile, "  web:")
	gate := strings.TrimSuffix(watchedProcessFile, "  web:"+web)
	tests := []struct {
		name    string
		meets   func(s *sandbox)
		want    string // the reason
		restart func(s *sandbox)
	}{
		{"stop", func(s *sandbox) { s.mustRun("stop", "web") }, "web was stopped meanwhile", func(s *sandbox) { s.mustRun("start", "web") }},
		{"stop all", func(s *sandbox) { s.mustRun("stop", "all") }, "web was stopped meanwhile", func(s *sandbox) { s.mustRun("start", "all") }},
		{"delete", func(s *sandbox) { s.mustRun("delete", "web") }, "web was deleted meanwhile", func(s *sandbox) { s.mustRun("up") }},
		{"a process file without it", func(s *sandbox) {
			s.writeProcessFile(gate)
			s.mustRun("apply")
		}, "web was stopped meanwhile, since the process file changed", func(s *sandbox) {
			s.writeLongProbation()
			s.mustRun("up")
		}},
		{"down", func(s *sandbox) { s.mustRun("down") }, "pgo is going down", func(s *sandbox) { s.mustRun("up") }},
		{"a signal to the keeper", func(s *sandbox) { s.terminateKeeper() }, "pgo is going down", func(s *sandbox) { s.mustRun("up") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newWatchedSandbox(t, "v1")
			s.mustRun("up")
			s.awaitGood("v1")
			s.writeLongProbation()
			s.mustRun("up")
			met := make(chan struct{})
			result := s.rollOut(t.Context(), "v2", func(p control.Progress) {
				if p.Step == "probation" {
					go func() {
						defer close(met)
						test.meets(s)
					}()
				}
			})
			<-met
			if result.Result != audit.RolledBack || result.Reason != test.want {
				t.Errorf("the deploy is %s: %s", result.Result, result.Reason)
			}
			if all, err := audit.Log(filepath.Join(s.homeDir(), "audit.jsonl")).List(); err != nil || len(all) != 1 || all[0].Reason != test.want {
				t.Errorf("the audit log has %+v, %v", all, err)
			}
			if r := s.findRelease("v2"); r.FailedAt != nil {
				t.Errorf("the release was found bad: %s", r.Failure)
			}
			test.restart(s)
			s.awaitBuild("v1")
			if text, err := os.ReadFile(s.deployedPath()); err != nil || !bytes.Equal(text, buildRelease(t, "v1")) {
				t.Errorf("what is deployed is not v1, %v", err)
			}
			s.writeProcessFile(watchedProcessFile)
			s.mustRun("apply")
			if next := s.rollOut(t.Context(), "v2", func(control.Progress) {}); next.Result != audit.Done {
				t.Errorf("the next deploy is %s: %s", next.Result, next.Reason)
			}
			s.awaitBuild("v2")
		})
	}
}

// A deploy that waits for a program to become ready ends at once as well. One that waits for a gate is refused. A restart is no
// stop: the probation goes on.
func TestDeployInterruptedWhileItWaits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		build string
		until string // the step at which it is interrupted; "" for the state reloading
		meets func(s *sandbox)
		want  audit.Result
		why   string
	}{
		{"stop of one that is not ready", "hangs", "", func(s *sandbox) { s.mustRun("stop", "web") }, audit.RolledBack, "web was stopped meanwhile"},
		{"delete of one that is not ready", "hangs", "", func(s *sandbox) { s.mustRun("delete", "web") }, audit.RolledBack, "web was deleted meanwhile"},
		{"down with one that is not ready", "hangs", "", func(s *sandbox) { s.mustRun("down") }, audit.RolledBack, "pgo is going down"},
		{"restart on probation", "v2", "probation", func(s *sandbox) { s.mustRun("restart", "web") }, audit.Done, ""},
		{"one that ends well", "leaves", "probation", func(*sandbox) {}, audit.RolledBack, "exit code 0 while it was on probation"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newWatchedSandbox(t, "v1")
			s.writeProcessFile(strings.NewReplacer("within: 10s}, restart: {", "within: 10m}, restart: {policy: on-failure, ").Replace(watchedProcessFile))
			s.mustRun("up")
			s.awaitGood("v1")
			met := make(chan struct{})
			meet := sync.OnceFunc(func() {
				go func() {
					defer close(met)
					if test.until == "" {
						s.awaitState("web", control.Reloading)
					}
					test.meets(s)
				}()
			})
			if test.until == "" {
				meet()
			}
			result := s.rollOut(t.Context(), test.build, func(p control.Progress) {
				if p.Step == test.until {
					meet()
				}
			})
			<-met
			if result.Result != test.want || !strings.HasSuffix(result.Reason, test.why) {
				t.Errorf("the deploy is %s: %s", result.Result, result.Reason)
			}
		})
	}
}

// What waits for a gate that does not run blocks no one: neither down, nor up, which starts the gate.
func TestWaitsForAGateEnd(t *testing.T) {
	t.Parallel()
	t.Run("a deploy and down", func(t *testing.T) {
		t.Parallel()
		s := newWatchedSandbox(t, "v1")
		s.mustRun("up")
		s.mustRun("stop", "gate")
		began, results := make(chan struct{}), make(chan audit.Entry, 1)
		go func() {
			results <- s.rollOut(t.Context(), "v2", func(p control.Progress) {
				if p.Step == "checked" {
					close(began)
				}
			})
		}()
		<-began
		s.mustRun("down")
		if result := <-results; result.Result != audit.Refused || !strings.Contains(result.Reason, "pgo is going down") {
			t.Errorf("the deploy is %s: %s", result.Result, result.Reason)
		}
	})
	t.Run("a reload and down", func(t *testing.T) {
		t.Parallel()
		s := newWatchedSandbox(t, "v1")
		s.mustRun("up")
		s.mustRun("stop", "gate")
		s.deployProgram(buildRelease(t, "v2"))
		s.assertFails(exitFailed, []string{"web is not ready"}, "reload", "--timeout", "1s", "web")
		s.mustRun("down")
	})
	t.Run("a first release and up", func(t *testing.T) {
		t.Parallel()
		s := newWatchedSandbox(t, "v1")
		s.deployProgram([]byte("no program"))
		s.assertFails(exitFailed, []string{"web is not ready: failed"}, "up")
		s.mustRun("stop", "gate")
		s.deployProgram(buildRelease(t, "v1"))
		s.runPgo("reload", "--timeout", "1s", "web") // it waits for the gate
		s.mustRun("up")
		s.awaitBuild("v1")
	})
}

// writeLongProbation makes the probation of web longer than any test.
func (s *sandbox) writeLongProbation() {
	s.t.Helper()
	s.writeProcessFile(strings.Replace(watchedProcessFile, "probation: 3s", "probation: 1h", 1))
}

// terminateKeeper does what `kill` does, and waits until nothing of pgo runs.
func (s *sandbox) terminateKeeper() {
	s.t.Helper()
	keeper := s.readInfo().KeeperPID
	if err := syscall.Kill(keeper, syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the keeper ends", func() error {
		if isAlive(keeper) {
			return errors.New("it is alive")
		}
		return nil
	})
}
