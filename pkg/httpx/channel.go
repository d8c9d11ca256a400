package httpx

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// tellNode tells PM2, for an app with wait_ready, that the program is ready. Node leaves the number of a socket to what
// it starts, on which messages are lines of JSON. A variable that has only been inherited on the way names another
// file, or none, and under systemd and pgo it is of no interest.
func tellNode() error {
	text := os.Getenv("NODE_CHANNEL_FD")
	if text == "" || os.Getenv("NOTIFY_SOCKET") != "" {
		return nil
	}
	fd, err := strconv.Atoi(text)
	var file unix.Stat_t
	if err != nil || unix.Fstat(fd, &file) != nil || file.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil
	}
	// It stays open: for Node its end is the end of the program.
	unix.CloseOnExec(fd)
	if _, err := unix.Write(fd, []byte("\"ready\"\n")); err != nil {
		return fmt.Errorf("tell PM2 that it is ready: %w", err)
	}
	return nil
}
