package httpx

import (
	"fmt"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// NotifyReloading tells NOTIFY_SOCKET that the program reads its configuration anew, and that it is ready again when
// the returned function is called. A manager that does not listen is no error: the reload goes on all the same.
func NotifyReloading() (done func()) {
	state := daemon.SdNotifyReloading
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) == nil { // systemd wants to know since when
		state += fmt.Sprintf("\nMONOTONIC_USEC=%d", now.Nano()/1000)
	}
	_, _ = daemon.SdNotify(false, state)
	return func() { _, _ = daemon.SdNotify(false, daemon.SdNotifyReady) }
}
