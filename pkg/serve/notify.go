package serve

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// NotifyReloading notifies NOTIFY_SOCKET that the program reads its configuration again, and that it is ready again when the
// returned function is called. A manager that does not listen is no error: the reload goes on.
func NotifyReloading() (done func()) {
	state := daemon.SdNotifyReloading
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) == nil { // systemd wants to know since when
		state += fmt.Sprintf("\nMONOTONIC_USEC=%d", now.Nano()/1000)
	}
	_, _ = daemon.SdNotify(false, state)
	return func() { _, _ = daemon.SdNotify(false, daemon.SdNotifyReady) }
}

// notifyReady notifies the manager, systemd's protocol or PM2's, that the program is ready.
func (p Program) notifyReady() {
	p.notifyManager(daemon.SdNotifyReady)
	if err := notifyPM2(); err != nil {
		p.Log.Warn("the process manager could not be notified", zap.Error(err))
	}
}

func (p Program) notifyManager(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		p.Log.Warn("the process manager could not be notified", zap.String("state", state), zap.Error(err))
	}
}

// feedWatchdog notifies the manager twice in each of its watchdog's periods until ctx ends, if it set one.
func (p Program) feedWatchdog(ctx context.Context) {
	period, err := daemon.SdWatchdogEnabled(false)
	if err != nil || period == 0 {
		return
	}
	tick := time.NewTicker(period / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.notifyManager(daemon.SdNotifyWatchdog)
		}
	}
}
