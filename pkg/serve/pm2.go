package serve

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// notifyPM2 reports to PM2, for an app with wait_ready, that the program is ready. Node gives a child the number of a socket
// on which messages are lines of JSON. A variable that was only inherited on the way names another file, or none; under
// systemd and pgo it is ignored.
func notifyPM2() error {
	text := os.Getenv("NODE_CHANNEL_FD")
	if text == "" || os.Getenv("NOTIFY_SOCKET") != "" {
		return nil
	}
	fd, err := strconv.Atoi(text)
	var file unix.Stat_t
	if err != nil || unix.Fstat(fd, &file) != nil || file.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil
	}
	// The socket stays open: Node takes its end for the end of the program.
	unix.CloseOnExec(fd)
	if _, err := unix.Write(fd, []byte("\"ready\"\n")); err != nil {
		return fmt.Errorf("notify PM2 of readiness: %w", err)
	}
	return nil
}
