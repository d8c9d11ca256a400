package e2e

import (
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

const webProcess = `
  web: {command: ACTOR, args: [actor, web, ready], listeners: {http: "127.0.0.1:0"}, ready: {notify: true}, instances: N}
`

func TestReloadDropsNothing(t *testing.T) {
	t.Parallel()
	for _, instances := range []string{"1", "2"} {
		t.Run(instances, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, strings.ReplaceAll(webProcess, "N}", instances+"}"))
			s.mustRun("up")
			l := startLoad(t, "http://"+s.listByName()["web"].Listeners["http"])
			for range 10 {
				s.mustRun("reload", "web")
			}
			if answered := l.assertNoFailures(t); answered < 11 {
				t.Errorf("only %d processes answered", answered)
			}
			for _, p := range s.listInstances() {
				if !p.Ready || p.Status != control.Ready || p.Restarts != 0 || p.ReloadPending {
					t.Errorf("after the reloads: %+v", p)
				}
			}
		})
	}
}

func TestReloadWhileTheManagerIsKilled(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, strings.ReplaceAll(webProcess, "N}", "2}"))
	s.mustRun("up")
	before := s.listInstances()
	l := startLoad(t, "http://"+before[0].Listeners["http"])
	for round := range 10 {
		reload := s.newCommand("reload", "web")
		if err := reload.Start(); err != nil {
			t.Fatal(err)
		}
		// At another point of the reload each time.
		eventually(t, "the reload is under way", func() error {
			if !slices.ContainsFunc(s.listInstances(), func(p control.Process) bool { return p.ReloadPending }) {
				return fmt.Errorf("nothing is reloaded")
			}
			return nil
		})
		time.Sleep(time.Duration(round*50) * time.Millisecond)
		s.killManager()
		_ = reload.Wait() // it may have failed with the manager
		eventually(t, "the reload has gone on", func() error {
			for _, p := range s.listInstances() {
				if p.ReloadPending || !p.Ready || p.Status != control.Ready {
					return fmt.Errorf("%+v", p)
				}
			}
			return nil
		})
	}
	l.assertNoFailures(t)
	for n, p := range s.listInstances() {
		if p.PID == before[n].PID || p.ReloadFailure != "" || p.Restarts != 0 {
			t.Errorf("instance %d: %+v", n, p)
		}
	}
	eventually(t, "nothing but the two is left", func() error {
		actors := 0
		for _, cmdline := range s.findProcesses() {
			if strings.Contains(cmdline, "actor") {
				actors++
			}
		}
		if actors != 2 {
			return fmt.Errorf("%d: %v", actors, s.findProcesses())
		}
		return nil
	})
}

// The old process continues whatever happens to the new one.
func TestReloadThatFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, actions string
		within        string // ready.within, and the rest of the entry
		want          []string
	}{
		{"ends at once", `"unless=DIR/bad", web, ready`, "30s", []string{"web was not replaced: exit code 1", "the previous process continues", "| there is "}},
		{"dies within the window", `"die=DIR/bad", web, ready`, "30s}, reload: {stable: 2s", []string{"web was not replaced: exit code 4", "| dying young"}},
		{"never ready", `"hang=DIR/bad", web, ready`, "3s", []string{"web was not replaced: not ready within 3s: it never sent READY=1", "| hanging"}},
		{"cannot be started", `web, ready`, "30s", []string{"web was not replaced: ", "no such file"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, fmt.Sprintf(`
  web: {command: DIR/program, args: [actor, %s], listeners: {http: "127.0.0.1:0"}, ready: {notify: true, within: %s}}
`, test.actions, test.within))
			program := filepath.Join(s.dir, "program")
			if err := os.Symlink(s.self, program); err != nil {
				t.Fatal(err)
			}
			s.mustRun("up")
			before := s.listByName()["web"]
			// A process that dies in the window has accepted connections; in all other cases no request fails.
			harmless := test.name != "dies within the window"
			var l *loadGenerator
			if harmless {
				l = startLoad(t, "http://"+before.Listeners["http"])
			}
			if err := os.WriteFile(filepath.Join(s.dir, "bad"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if test.name == "cannot be started" {
				if err := os.Remove(program); err != nil {
					t.Fatal(err)
				}
			}
			s.assertFails(exitFailed, test.want, "reload", "web")
			if now := s.listByName()["web"]; now.PID != before.PID || !now.Ready || now.Status != control.Ready || now.ReloadFailure == "" {
				t.Errorf("the old process: %+v", now)
			}
			if harmless {
				if answered := l.assertNoFailures(t); answered != 1 {
					t.Errorf("%d processes answered", answered)
				}
			}
			// Once the cause is gone, it is replaced.
			if err := os.Remove(filepath.Join(s.dir, "bad")); err != nil {
				t.Fatal(err)
			}
			if test.name == "cannot be started" {
				if err := os.Symlink(s.self, program); err != nil {
					t.Fatal(err)
				}
			}
			s.mustRun("reload", "web")
			if now := s.listByName()["web"]; now.PID == before.PID || !now.Ready || now.ReloadFailure != "" {
				t.Errorf("after it was corrected: %+v", now)
			}
		})
	}
}

func TestReloadReturnsWhileTheOldDrains(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, strings.ReplaceAll(webProcess, "N}", "1}"))
	s.mustRun("up")
	before := s.listByName()["web"]
	slow := make(chan string, 1)
	go func() {
		body, err := getURL("http://" + before.Listeners["http"] + "/slow")
		slow <- fmt.Sprint(body, err)
	}()
	began := time.Now()
	s.mustRun("reload", "web")
	t.Logf("reload took %s", time.Since(began))
	if got := <-slow; got != fmt.Sprint(before.PID, nil) && !strings.Contains(got, "<nil>") {
		t.Errorf("the request in flight: %s, want %d", got, before.PID)
	}
	eventually(t, "the old one has ended", func() error {
		if p := s.listByName()["web"]; len(p.Draining) > 0 || isAlive(before.PID) {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	if events := s.mustRun("events"); !strings.Contains(events, "draining") || !strings.Contains(events, "took over from pid") {
		t.Errorf("events:\n%s", events)
	}
}

func TestReloadIsRefused(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  db: {kind: infra, command: ACTOR, args: [actor]}
  worker: {command: ACTOR, args: [actor], reload: {mode: restart}}
  pair: {command: ACTOR, args: [actor], reload: {mode: beside}}
`)
	s.mustRun("up")
	before := s.listByName()
	s.assertFails(exitFailed, []string{"db is not reloaded", "there would be a gap", "pgo restart db"}, "reload", "all")
	for name, p := range s.listByName() {
		if p.PID != before[name].PID {
			t.Errorf("%s was touched", name)
		}
	}
	s.mustRun("reload", "worker", "pair")
	for name, p := range s.listByName() {
		if (p.PID == before[name].PID) != (name == "db") || !p.Ready {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// A listener that is not shared has another port beside the old process.
func TestUnsharedListener(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `
  web: {command: ACTOR, args: [actor, web, ready], instances: 2, ready: {notify: true},
    listeners: {admin: {addr: "127.0.0.1:0", shared: false}, http: "127.0.0.1:0"}}
`)
	s.mustRun("up")
	before := s.listInstances()
	if before[0].Listeners["http"] != before[1].Listeners["http"] || before[0].Listeners["admin"] == before[1].Listeners["admin"] {
		t.Errorf("listeners: %v, %v", before[0].Listeners, before[1].Listeners)
	}
	s.mustRun("reload", "web")
	s.killManager()
	after := s.listInstances()
	if after[0].Listeners["http"] != before[0].Listeners["http"] || after[0].Listeners["admin"] == before[0].Listeners["admin"] {
		t.Errorf("before %v, after %v", before[0].Listeners, after[0].Listeners)
	}
	if _, err := getURL("http://" + before[0].Listeners["http"]); err != nil {
		t.Error(err)
	}
}

// killManager kills the manager and waits for the next one.
func (s *sandbox) killManager() {
	s.t.Helper()
	old := s.readInfo().ManagerPID
	if err := proc.Kill(old, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "there is another manager", func() error {
		if now := s.readInfo().ManagerPID; now == old {
			return fmt.Errorf("it is still pid %d", now)
		}
		return nil
	})
}
