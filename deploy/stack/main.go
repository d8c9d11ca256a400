// Command stack runs pgo's whole stack on this machine. In native mode it installs missing servers from the distribution,
// creates private instances of them for this checkout, and has pgo run everything; in docker mode it drives docker compose.
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
