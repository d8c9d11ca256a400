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

// Pauses between the attempts of a wake command that fails.
const (
	minWakePause = time.Second
	maxWakePause = time.Minute
	wakeTimeout  = 5 * time.Minute // a command that hangs is killed and counts as failed
)

// wakeServices runs the configured command, which starts the services under a supervisor without start order, such as PM2.
// It tries again until the command has succeeded once or ctx ends; its failures do not end the gate.
func (a *app) wakeServices(ctx context.Context) {
	pause := minWakePause
	for {
		output, err := a.runWakeCommand(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			a.log.Info("the services were started", zap.String("command", a.cfg.Wake))
			return
		}
		a.log.Warn("start the services: "+err.Error(), zap.String("command", a.cfg.Wake), zap.String("output", output), zap.Duration("retry_in", pause))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, maxWakePause)
	}
}

// runWakeCommand runs the command and returns the last 500 bytes of its output.
func (a *app) runWakeCommand(ctx context.Context) (output string, err error) {
	ctx, cancel := context.WithTimeout(ctx, wakeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", a.cfg.Wake)
	cmd.Env = withoutOwnVariables(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its children are signalled with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	output = strings.TrimSpace(string(out))
	return output[max(0, len(output)-500):], err
}

// withoutOwnVariables returns environ without bootcheck's settings, which hold secrets, and without the variables that a
// supervisor set for this process alone. PM2 would pass the environment of `pm2 start` on to every program.
func withoutOwnVariables(environ []string) []string {
	own := []string{"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "WATCHDOG_USEC", "WATCHDOG_PID", "NODE_CHANNEL_FD"}
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(key, "PGO_CFG_") || slices.Contains(own, key)
	})
}
