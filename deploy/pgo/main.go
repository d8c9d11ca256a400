// Command pgo manages the processes of a process file and deploys new releases of them: docs/pgo.md.
package main

import (
	"context"
	"os"
	"os/signal"

	"pgo/deploy/pgo/internal/cmd"
)

// The linker sets these: -ldflags "-X main.version=...". built is the commit's time in RFC 3339.
var (
	version = "dev"
	commit  = "unknown"
	built   = ""
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), cmd.EndSignals(os.Args[1:])...)
	context.AfterFunc(ctx, stop) // a second signal ends pgo at once
	build := cmd.Build{Version: version, Commit: commit, Time: built}
	os.Exit(cmd.Run(ctx, build, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}
