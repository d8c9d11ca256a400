// Command engineproxy lets cAdvisor read containers' names and labels from a Docker engine without access to the engine's socket,
// and counts the processes that the kernel killed for their containers' memory limits. See usage.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
