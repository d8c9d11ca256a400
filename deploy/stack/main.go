// Command stack runs pgo's stack on this machine without containers: it installs the distribution's servers where
// they are missing, makes private instances of them for this checkout, and has pgo run everything.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	code := run(ctx, os.Args[1:], newEnvironment())
	stop()
	os.Exit(code)
}
