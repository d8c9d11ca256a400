// Command demo fills a school through the public API, as its people would: they sign up, are invited, join classes,
// set tasks, hand in and get grades. It prints how to sign in as them. Every run adds another school with people of
// its own, so that it can be run again at any time.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}
