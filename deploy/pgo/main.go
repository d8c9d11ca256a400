// Command pgo runs the processes of a process file: docs/pgo.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Set by the linker: -ldflags "-X main.version=...". built is the commit's time, RFC 3339.
var (
	version = "dev"
	commit  = "unknown"
	built   = ""
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal ends pgo at once
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}
