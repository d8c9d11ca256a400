package service

import (
	"pgo/pkg/cache"
	"pgo/pkg/config"
	"pgo/pkg/logging"
	"pgo/pkg/mq"
	"pgo/pkg/mysql"
	"pgo/pkg/serve"
	"pgo/pkg/tracing"
)

// Config holds the sections that every service has. A service embeds it with the tag `config:",squash"`, so that its own
// sections stand beside these.
type Config struct {
	Log      logging.Config `config:"log"`
	HTTP     serve.Config   `config:"http"`
	MySQL    mysql.Config   `config:"mysql"`
	Redis    cache.Config   `config:"redis"`
	RabbitMQ mq.Settings    `config:"rabbitmq"`
	Tracing  tracing.Config `config:"tracing"`
}

// Defaults returns the defaults of the service name, which listens at addr: its accounts have its name, its database is
// pgo_NAME and its Redis keys begin with NAME and a colon.
func Defaults(name, addr string) Config {
	c := Config{
		Log:      logging.Config{Level: "info"},
		HTTP:     serve.Defaults(),
		MySQL:    mysql.Defaults(),
		Redis:    cache.Defaults(),
		RabbitMQ: mq.Settings{Addr: "127.0.0.1:5672", Username: name, Vhost: "pgo"},
		Tracing:  tracing.Config{Ratio: 0.05},
	}
	c.HTTP.Addr = addr
	c.MySQL.Username, c.MySQL.Database = name, "pgo_"+name
	c.Redis.Username, c.Redis.Prefix = name, name+":"
	return c
}

// Validate checks the sections. A service calls it from its own Validate.
func (cfg Config) Validate(c *config.Check) {
	cfg.Log.Validate(c, "log")
	cfg.HTTP.Validate(c, "http")
	cfg.MySQL.Validate(c, "mysql")
	cfg.Redis.Validate(c, "redis")
	cfg.RabbitMQ.Validate(c, "rabbitmq")
	cfg.Tracing.Validate(c, "tracing")
}

// Common returns the sections that every service has.
func (cfg Config) Common() Config { return cfg }
