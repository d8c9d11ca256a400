// Command task is the Task service.
package main

import (
	"context"
	"io"

	"pgo/pkg/command"
	"pgo/pkg/mq"
	"pgo/services/task/events"
	"pgo/services/task/migrations"
	"pgo/services/task/openapi"
)

func main() {
	command.Main(run)
}

func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := command.New(command.Service{
		Name: name, Short: "The Task service: what teachers set, what students hand in, and how it is graded",
		Migrations: migrations.FS, Topology: events.Topology(), OpenAPI: openapi.JSON,
		Check:  func() error { _, err := load(environ); return err },
		Serve:  func(ctx context.Context) error { return runService(ctx, environ, stdout) },
		Broker: func() (mq.Config, error) { cfg, err := load(environ); return cfg.RabbitMQ.Config(name), err },
	})
	root.SetIn(stdin)
	root.AddCommand(viewCommand(environ))
	return command.Run(ctx, root, args, stdout, stderr)
}
