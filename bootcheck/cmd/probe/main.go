// Command probe is the health check for containers whose images have no tool for it: one static file that is mounted into
// them. It connects to the server over TCP and prints in one line what is wrong.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"pgo/bootcheck/server"
)

const (
	// checkTimeout bounds a whole check. The compose file's timeout is longer, so that the reason is still printed.
	checkTimeout = 5 * time.Second
	scanTimeout  = time.Minute
)

func main() {
	server.SilenceRedis()
	timeout := checkTimeout
	if len(os.Args) > 1 && os.Args[1] == "scan" {
		timeout = scanTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	err := run(ctx, os.Args[1:], os.Stdout)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
	}
	os.Exit(exitCode(err))
}
