// Command user is the User service.
package main

import (
	"context"
	"io"

	"pgo/pkg/command"
	"pgo/pkg/mq"
	"pgo/services/user/events"
	"pgo/services/user/migrations"
	"pgo/services/user/openapi"
)

func main() {
	command.Main(func(ctx context.Context, args, environ []string, _ io.Reader, stdout, stderr io.Writer) int {
		return run(ctx, args, environ, stdout, stderr)
	})
}

func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	root := command.New(command.Service{
		Name: name, Short: "The User service: people, their sessions, and who may do what with them",
		Migrations: migrations.FS, Topology: events.Topology(), OpenAPI: openapi.JSON,
		Check:  func() error { _, err := load(environ); return err },
		Serve:  func(ctx context.Context) error { return runService(ctx, environ, stdout) },
		Broker: func() (mq.Config, error) { cfg, err := load(environ); return cfg.RabbitMQ.Config(name), err },
	})
	root.AddCommand(adminCommand(environ))
	return command.Run(ctx, root, args, stdout, stderr)
}
