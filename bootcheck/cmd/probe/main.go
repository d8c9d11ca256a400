// Command probe is the health check of containers whose images have no tool for it: one static file, mounted where it
// is needed. It asks the thing itself, over TCP, and says in one line what is wrong.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"pgo/bootcheck/server"
)

// limit bounds a whole check; the compose file's timeout is longer, so that the reason is still told.
const limit = 5 * time.Second

const scanLimit = time.Minute

func main() {
	server.QuietRedis()
	timeout := limit
	if len(os.Args) > 1 && os.Args[1] == "scan" {
		timeout = scanLimit
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	err := run(ctx, os.Args[1:], os.Stdout)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
	}
	os.Exit(exitCode(err))
}
