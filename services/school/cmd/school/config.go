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

// Config is everything that can be set. The log level takes effect when the configuration is reloaded, the rest at
// the next start.
type Config struct {
	Log      logging.Config `config:"log"`
	HTTP     httpx.Config   `config:"http"`
	MySQL    mysql.Config   `config:"mysql"`
	Redis    cache.Config   `config:"redis"`
	RabbitMQ mq.Settings    `config:"rabbitmq"`
	Tracing  tracing.Config `config:"tracing"`
	Auth     Auth           `config:"auth"`
}

// Auth is how tokens are verified.
type Auth struct {
	Issuer   string `config:"issuer"`
	Audience string `config:"audience"`
	UserURL  string `config:"user_url"` // of the User service: its keys and its list of ended sessions
}

// NewConfig returns every default.
func NewConfig() Config {
	c := Config{
		Log:      logging.Config{Level: "info"},
		HTTP:     httpx.Defaults(),
		MySQL:    mysql.Defaults(),
		Redis:    cache.Defaults(),
		RabbitMQ: mq.Settings{Addr: "127.0.0.1:5672", Username: "school", Vhost: "pgo"},
		Tracing:  tracing.Config{Ratio: 0.05},
		Auth:     Auth{Issuer: "pgo", Audience: "pgo", UserURL: "http://127.0.0.1:8081"},
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
	c.Expect(cfg.Auth.Issuer != "", "auth.issuer", "a name")
	c.Expect(cfg.Auth.Audience != "", "auth.audience", "a name")
	user, err := url.Parse(cfg.Auth.UserURL)
	c.Expect(err == nil && (user.Scheme == "http" || user.Scheme == "https") && user.Host != "" && user.RawQuery == "" && user.Fragment == "", "auth.user_url", "a URL such as http://127.0.0.1:8081")
}

func load(environ []string) (Config, error) {
	return config.Load(NewConfig(), config.OptionsFrom("school", environ))
}
