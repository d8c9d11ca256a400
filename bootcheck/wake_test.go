package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgo/pkg/logging"
	"pgo/pkg/testing/testkit"
)

// startWaking runs only the waking part of a bootcheck until the test ends.
func startWaking(t *testing.T, command string) (woken <-chan struct{}, stop func(), log *syncBuffer) {
	t.Helper()
	log = &syncBuffer{}
	l, err := logging.New(log, logging.Config{Level: "info"}, logging.Identity{Service: "bootcheck"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	a := &app{cfg: Config{Wake: command}, log: l}
	go func() {
		defer close(done)
		a.wakeServices(ctx)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return done, stop, log
}

func TestWakeRetriesUntilItSucceeds(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PGO_CFG_MYSQL__PASSWORD", "secret")
	t.Setenv("NOTIFY_SOCKET", filepath.Join(dir, "notify"))
	t.Setenv("HOME", dir)
	woken, _, log := startWaking(t, `cd "$HOME"; echo x >>tries; test -e second || { touch second; echo "no daemon"; exit 3; }; env >woken`)
	<-woken
	tries, err := os.ReadFile(filepath.Join(dir, "tries"))
	if err != nil || string(tries) != "x\nx\n" {
		t.Errorf("tried: %q %v", tries, err)
	}
	env, err := os.ReadFile(filepath.Join(dir, "woken"))
	if err != nil || !strings.Contains(string(env), "HOME="+dir) || strings.Contains(string(env), "PGO_CFG_") || strings.Contains(string(env), "NOTIFY_SOCKET") {
		t.Errorf("its environment is %s %v", env, err)
	}
	for _, want := range []string{"start the services: exit status 3", `"output":"no daemon"`, "the services were started"} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("not exactly once: %q in\n%s", want, log)
		}
	}
}

// A command that hangs does not keep bootcheck from ending and does not outlive it.
func TestWakeEndsWithBootcheck(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	_, stop, _ := startWaking(t, `cd "$HOME"; sleep 1000 & echo $! >pid.new; mv pid.new pid; wait`)
	pid := ""
	testkit.Eventually(t, "it runs", func() error {
		text, err := os.ReadFile(filepath.Join(dir, "pid"))
		pid = strings.TrimSpace(string(text))
		return err
	})
	stop()
	testkit.Eventually(t, "its child has exited", func() error {
		stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			return fmt.Errorf("it still runs: %s", stat)
		}
		return nil
	})
}

// The gate runs the wake command after it has passed; the command's result does not change readiness.
func TestServeRunsWakeCommand(t *testing.T) {
	e := newTestEnv(t)
	marker := filepath.Join(t.TempDir(), "marker")
	e.extraEnviron = append(e.extraEnviron, "PGO_CFG_WAKE=touch "+marker+"; exit 1")
	_, log := e.startServing()
	e.awaitReady()
	testkit.Eventually(t, "the wake command ran", func() error {
		if _, err := os.Stat(marker); err != nil {
			return fmt.Errorf("%w\n%s", err, log)
		}
		return nil
	})
	e.awaitReady()
}
