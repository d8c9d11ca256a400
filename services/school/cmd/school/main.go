// Command school is the School service.
package main

import (
	"context"
	"io"

	"pgo/pkg/command"
	"pgo/pkg/mq"
	"pgo/services/school/events"
	"pgo/services/school/migrations"
	"pgo/services/school/openapi"
)

func main() {
	command.Main(func(ctx context.Context, args, environ []string, _ io.Reader, stdout, stderr io.Writer) int {
		return run(ctx, args, environ, stdout, stderr)
	})
}

func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	root := command.New(command.Service{
		Name: name, Short: "The School service: schools, who is in them as what, and their classes",
		Migrations: migrations.FS, Topology: events.Topology(), OpenAPI: openapi.JSON,
		Check:  func() error { _, err := load(environ); return err },
		Serve:  func(ctx context.Context) error { return runService(ctx, environ, stdout) },
		Broker: func() (mq.Config, error) { cfg, err := load(environ); return cfg.RabbitMQ.Config(name), err },
	})
	root.AddCommand(exportCommand(environ))
	return command.Run(ctx, root, args, stdout, stderr)
}
