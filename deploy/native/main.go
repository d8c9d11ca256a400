// Command native runs pgo's stack on this machine without containers: it installs the distribution's servers where
// they are missing, makes private instances of them for this checkout, and has pgo run everything.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], system())
	stop()
	os.Exit(code)
}
