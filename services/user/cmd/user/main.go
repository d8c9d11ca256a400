// Command user is the User service.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"pgo/pkg/command"
	"pgo/pkg/mq"
	"pgo/services/user/events"
	"pgo/services/user/migrations"
	"pgo/services/user/openapi"
)

// name is the service's, and begins the names of its accounts, queues and keys.
const name = "user"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	root := command.New(command.Service{
		Name: name, Short: "The User service: people, their sessions, and who may do what with them",
		Migrations: migrations.FS, Topology: events.Topology(), OpenAPI: openapi.JSON,
		Check: func() error { _, err := load(environ); return err },
		Serve: func(ctx context.Context) error { return runService(ctx, environ, stdout) },
	})
	root.AddCommand(adminCommand(environ), command.NewEventsCommand(events.Topology(), func() (mq.Config, error) {
		cfg, err := load(environ)
		return cfg.RabbitMQ.Config(name), err
	}))
	return command.Run(ctx, root, args, stdout, stderr)
}
