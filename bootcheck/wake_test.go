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

// waker is a bootcheck that only wakes, until the test ends.
func waker(t *testing.T, command string) (woken <-chan struct{}, stop func(), log *syncBuffer) {
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
		a.wake(ctx)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return done, stop, log
}

func TestWakeIsTriedUntilItWorks(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PGO_CFG_MYSQL__PASSWORD", "secret")
	t.Setenv("NOTIFY_SOCKET", filepath.Join(dir, "notify"))
	t.Setenv("HOME", dir)
	woken, _, log := waker(t, `cd "$HOME"; echo x >>tries; test -e second || { touch second; echo "no daemon"; exit 3; }; env >woken`)
	<-woken
	tries, err := os.ReadFile(filepath.Join(dir, "tries"))
	if err != nil || string(tries) != "x\nx\n" {
		t.Errorf("tried: %q %v", tries, err)
	}
	env, err := os.ReadFile(filepath.Join(dir, "woken"))
	if err != nil || !strings.Contains(string(env), "HOME="+dir) || strings.Contains(string(env), "PGO_CFG_") || strings.Contains(string(env), "NOTIFY_SOCKET") {
		t.Errorf("it runs with %s %v", env, err)
	}
	for _, says := range []string{"wake the services: exit status 3", `"said":"no daemon"`, "the services were woken"} {
		if strings.Count(log.String(), says) != 1 {
			t.Errorf("not once %q in\n%s", says, log)
		}
	}
}

// A command that hangs does not keep bootcheck from ending, and does not outlive it.
func TestWakeEndsWithBootcheck(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	_, stop, _ := waker(t, `cd "$HOME"; sleep 1000 & echo $! >pid.new; mv pid.new pid; wait`)
	pid := ""
	testkit.Eventually(t, "it runs", func() error {
		text, err := os.ReadFile(filepath.Join(dir, "pid"))
		pid = strings.TrimSpace(string(text))
		return err
	})
	stop()
	testkit.Eventually(t, "what it has started is gone", func() error {
		stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			return fmt.Errorf("it runs: %s", stat)
		}
		return nil
	})
}

// The gate that has passed wakes, and is ready whatever becomes of it.
func TestServeWakes(t *testing.T) {
	w := newWorld(t)
	door := filepath.Join(t.TempDir(), "door")
	w.extra = append(w.extra, "PGO_CFG_WAKE=touch "+door+"; exit 1")
	_, log := w.serve()
	w.awaitReady()
	testkit.Eventually(t, "it was woken", func() error {
		if _, err := os.Stat(door); err != nil {
			return fmt.Errorf("%w\n%s", err, log)
		}
		return nil
	})
	w.awaitReady()
}
