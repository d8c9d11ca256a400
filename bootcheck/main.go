// Command bootcheck is the gate that services wait for: it waits until MySQL, Redis and RabbitMQ really serve, makes
// databases and accounts, brings the schemas to where the services' binaries expect them, declares the broker's
// topology, and says that it is ready. Then it stays up and shows the state of things.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"pgo/bootcheck/server"
)

func main() {
	server.QuietRedis()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bootcheck: %v\n", err)
	}
	os.Exit(exitCode(err))
}
