// Command bootcheck is the gate that services wait for. It waits until MySQL, Redis and RabbitMQ serve, creates databases
// and accounts, migrates the schemas to the versions that the services' binaries expect, declares the broker's topology and
// reports that it is ready. Then it stays up and publishes the state of servers and schemas.
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
	server.SilenceRedis()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bootcheck: %v\n", err)
	}
	os.Exit(exitCode(err))
}
