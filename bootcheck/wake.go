package main

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// How a wake command that fails is tried again.
const (
	firstWakePause   = time.Second
	longestWakePause = time.Minute
	wakeTimeout      = 5 * time.Minute // a command that hangs is ended, and counts as failed
)

// wake runs the configured command once it may: that tells a supervisor which knows no order, as PM2, that the services
// can start. It is tried until it has worked once; services that nobody wakes are no reason for the gate to end.
func (a *app) wake(ctx context.Context) {
	pause := firstWakePause
	for {
		said, err := a.wakeOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			a.log.Info("the services were woken", zap.String("command", a.cfg.Wake))
			return
		}
		a.log.Warn("wake the services: "+err.Error(), zap.String("command", a.cfg.Wake), zap.String("said", said), zap.Duration("again_in", pause))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, longestWakePause)
	}
}

// wakeOnce returns the end of what the command said.
func (a *app) wakeOnce(ctx context.Context) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, wakeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", a.cfg.Wake)
	cmd.Env = notOurs(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what the shell has started ends with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	said = strings.TrimSpace(string(out))
	return said[max(0, len(said)-500):], err
}

// notOurs leaves out bootcheck's own settings, secrets among them, and what a supervisor has given to this very process:
// PM2 hands on to a program all that `pm2 start` has in its environment.
func notOurs(environ []string) []string {
	own := []string{"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "WATCHDOG_USEC", "WATCHDOG_PID", "NODE_CHANNEL_FD"}
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(key, "PGO_CFG_") || slices.Contains(own, key)
	})
}
