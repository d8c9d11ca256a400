package main

import (
	"net/url"

	"pgo/pkg/cache"
	"pgo/pkg/config"
	"pgo/pkg/httpx"
	"pgo/pkg/logging"
	"pgo/pkg/mq"
	"pgo/pkg/mysql"
	"pgo/pkg/tracing"
)

// Config is everything that can be set. The log level takes effect when the configuration is reloaded, the rest at the
// next start.
type Config struct {
	Log      logging.Config `config:"log"`
	HTTP     httpx.Config   `config:"http"`
	MySQL    mysql.Config   `config:"mysql"`
	Redis    cache.Config   `config:"redis"`
	RabbitMQ mq.Settings    `config:"rabbitmq"`
	Tracing  tracing.Config `config:"tracing"`
	Auth     Auth           `config:"auth"`
}

// Auth is whose tokens are good.
type Auth struct {
	Issuer   string `config:"issuer"`
	Audience string `config:"audience"`
	UserURL  string `config:"user_url"` // where User's keys and its list of ended sessions are read
}

// NewConfig returns every default.
func NewConfig() Config {
	c := Config{
		Log:      logging.Config{Level: "info"},
		HTTP:     httpx.Defaults(),
		MySQL:    mysql.Defaults(),
		Redis:    cache.Defaults(),
		RabbitMQ: mq.Settings{Addr: "127.0.0.1:5672", Username: "task", Vhost: "pgo"},
		Tracing:  tracing.Config{Ratio: 0.05},
		Auth:     Auth{Issuer: "pgo", Audience: "pgo", UserURL: "http://127.0.0.1:8081"},
	}
	c.HTTP.Addr = "127.0.0.1:8083"
	c.MySQL.Username, c.MySQL.Database = "task", "pgo_task"
	c.Redis.Username, c.Redis.Prefix = "task", "task:"
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
	c.Expect(cfg.Auth.Issuer != "", "auth.issuer", "a name")
	c.Expect(cfg.Auth.Audience != "", "auth.audience", "a name")
	base, err := url.Parse(cfg.Auth.UserURL)
	c.Expect(err == nil && (base.Scheme == "http" || base.Scheme == "https") && base.Host != "" && (base.Path == "" || base.Path == "/"), "auth.user_url", "a URL such as http://127.0.0.1:8081")
}

func load(environ []string) (Config, error) {
	return config.Load(NewConfig(), config.OptionsFrom("task", environ))
}
