package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgo/deploy/pgo/internal/control"
)

// Signals to the keeper apply the process file, reopen logs and upgrade the manager; others do nothing. Processes go on.
func TestKeeperSignals(t *testing.T) {
	t.Parallel()
	const one = `  p: {command: ACTOR, args: [actor, ready], ready: {notify: true}}` + "\n"
	s := newSandbox(t, one)
	s.mustRun("up")
	before, pid := s.readInfo(), s.listByName()["p"].PID
	assertGoesOn := func(t *testing.T) {
		t.Helper()
		if info := s.readInfo(); info.KeeperPID != before.KeeperPID || s.listByName()["p"].PID != pid {
			t.Errorf("was pid %d under %+v, is %+v, %+v", pid, before, info, s.listByName())
		}
	}
	send := func(pid int, signal syscall.Signal) {
		if err := syscall.Kill(pid, signal); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("HUP applies the process file", func(t *testing.T) {
		s.writeProcessFile(one + `  q: {command: ACTOR, args: [actor, ready], ready: {notify: true}}` + "\n")
		send(before.KeeperPID, syscall.SIGHUP)
		s.awaitState("q", control.Ready)
		assertGoesOn(t)
	})
	t.Run("HUP with an invalid file changes nothing", func(t *testing.T) {
		s.writeProcessFile("  p: {comand: x}\n")
		send(before.KeeperPID, syscall.SIGHUP)
		eventually(t, "it is logged", func() error {
			if !strings.Contains(s.readFile(".pgo/logs/pgo.log"), "processes.p.comand: unknown key") {
				return errors.New("not yet")
			}
			return nil
		})
		s.writeProcessFile(one)
		assertGoesOn(t)
	})
	t.Run("USR1 reopens the log", func(t *testing.T) {
		log := filepath.Join(s.homeDir(), "logs", "pgo.log")
		if err := os.Rename(log, log+".moved"); err != nil {
			t.Fatal(err)
		}
		send(before.KeeperPID, syscall.SIGUSR1)
		eventually(t, "keeper and manager write the new file", func() error {
			if text := s.readFile(".pgo/logs/pgo.log"); !strings.Contains(text, `"msg":"signal"`) || !strings.Contains(text, `"command":"reopen"`) {
				return errors.New(text)
			}
			return nil
		})
		assertGoesOn(t)
	})
	t.Run("USR2 upgrades the manager", func(t *testing.T) {
		send(before.KeeperPID, syscall.SIGUSR2)
		eventually(t, "another manager answers", func() error {
			if info := s.readInfo(); info.ManagerPID == 0 || info.ManagerPID == before.ManagerPID || info.UpgradeFailure != "" {
				return errors.New("not yet " + info.UpgradeFailure)
			}
			return nil
		})
		assertGoesOn(t)
	})
	t.Run("others do nothing", func(t *testing.T) {
		manager := s.readInfo().ManagerPID
		for _, signal := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGALRM, syscall.SIGWINCH, syscall.SIGPIPE, syscall.SIGXCPU, 40} {
			send(before.KeeperPID, signal)
		}
		for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2} {
			send(manager, signal)
		}
		s.mustRun("list")
		assertGoesOn(t)
		if now := s.readInfo().ManagerPID; now != manager {
			t.Errorf("the manager is %d, was %d", now, manager)
		}
	})
}
