package main

import (
	"pgo/pkg/auth"
	"pgo/pkg/cache"
	"pgo/pkg/config"
	"pgo/pkg/logging"
	"pgo/pkg/mq"
	"pgo/pkg/mysql"
	"pgo/pkg/serve"
	"pgo/pkg/tracing"
)

// Config is everything that can be set. The log level takes effect when the configuration is reloaded, the rest at
// the next start.
type Config struct {
	Log      logging.Config `config:"log"`
	HTTP     serve.Config   `config:"http"`
	MySQL    mysql.Config   `config:"mysql"`
	Redis    cache.Config   `config:"redis"`
	RabbitMQ mq.Settings    `config:"rabbitmq"`
	Tracing  tracing.Config `config:"tracing"`
	Auth     auth.Config    `config:"auth"` // whose tokens are good
}

// NewConfig returns every default.
func NewConfig() Config {
	c := Config{
		Log:      logging.Config{Level: "info"},
		HTTP:     serve.Defaults(),
		MySQL:    mysql.Defaults(),
		Redis:    cache.Defaults(),
		RabbitMQ: mq.Settings{Addr: "127.0.0.1:5672", Username: "school", Vhost: "pgo"},
		Tracing:  tracing.Config{Ratio: 0.05},
		Auth:     auth.Defaults(),
	}
	c.HTTP.Addr = "127.0.0.1:8082"
	c.MySQL.Username, c.MySQL.Database = "school", "pgo_school"
	c.Redis.Username, c.Redis.Prefix = "school", "school:"
	return c
}

// Validate implements config.Validator.
func (cfg *Config) Validate(c *config.Check) {
	cfg.Log.Validate(c, "log")
	cfg.HTTP.Validate(c, "http")
	cfg.MySQL.Validate(c, "mysql")
	cfg.Redis.Validate(c, "redis")
	cfg.RabbitMQ.Validate(c, "rabbitmq")
	c.Expect(cfg.Tracing.Ratio >= 0 && cfg.Tracing.Ratio <= 1, "tracing.ratio", "a number from 0 to 1")
	cfg.Auth.Validate(c, "auth")
}

func load(environ []string) (Config, error) {
	return config.Load(NewConfig(), config.OptionsFromEnviron("school", environ))
}
