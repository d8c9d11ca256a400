package main

import (
	"net/url"
	"time"

	"pgo/pkg/auth"
	"pgo/pkg/cache"
	"pgo/pkg/config"
	"pgo/pkg/logging"
	"pgo/pkg/mq"
	"pgo/pkg/mysql"
	"pgo/pkg/serve"
	"pgo/pkg/tracing"
	"pgo/services/user"
	"pgo/services/user/throttle"
	"pgo/services/user/token"
)

// Config is everything that can be set. Log level, token lifetimes and login limits take effect when the
// configuration is reloaded, the rest at the next start.
type Config struct {
	Log      logging.Config  `config:"log"`
	HTTP     serve.Config    `config:"http"`
	MySQL    mysql.Config    `config:"mysql"`
	Redis    cache.Config    `config:"redis"`
	RabbitMQ mq.Settings     `config:"rabbitmq"`
	Tracing  tracing.Config  `config:"tracing"`
	Auth     Auth            `config:"auth"`
	Login    throttle.Limits `config:"login"`
	Mail     Mail            `config:"mail"`
}

// Auth is how tokens are made.
type Auth struct {
	Issuer     string        `config:"issuer"`
	Audience   string        `config:"audience"`
	SigningKey config.Secret `config:"signing_key"` // Ed25519 keys as PKCS#8 PEM; the first signs, all verify
	AccessTTL  time.Duration `config:"access_ttl"`
	RefreshTTL time.Duration `config:"refresh_ttl"`
}

// Mail is how mails are written.
type Mail struct {
	Dir     string `config:"dir"` // each mail becomes a file there
	From    string `config:"from"`
	BaseURL string `config:"base_url"` // of the API, as the reader of a mail reaches it
}

// NewConfig returns every default.
func NewConfig() Config {
	c := Config{
		Log:      logging.Config{Level: "info"},
		HTTP:     serve.Defaults(),
		MySQL:    mysql.Defaults(),
		Redis:    cache.Defaults(),
		RabbitMQ: mq.Settings{Addr: "127.0.0.1:5672", Username: "user", Vhost: "pgo"},
		Tracing:  tracing.Config{Ratio: 0.05},
		Auth:     Auth{Issuer: "pgo", Audience: "pgo", AccessTTL: 15 * time.Minute, RefreshTTL: 30 * 24 * time.Hour},
		Login:    throttle.Limits{Window: 15 * time.Minute, Pair: 5, Account: 50, Address: 100},
		Mail:     Mail{Dir: ".pgo/mail", From: "pgo@localhost", BaseURL: "http://127.0.0.1:8080"},
	}
	c.HTTP.Addr = "127.0.0.1:8081"
	c.MySQL.Username, c.MySQL.Database = "user", "pgo_user"
	c.Redis.Username, c.Redis.Prefix = "user", "user:"
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
	c.ExpectSecret("auth.signing_key", cfg.Auth.SigningKey)
	_, err := token.ParseKeys([]byte(cfg.Auth.SigningKey.Reveal()))
	c.Expect(err == nil, "auth.signing_key", "one or more Ed25519 keys as PKCS#8 PEM")
	c.Expect(cfg.Auth.Issuer != "", "auth.issuer", "a name")
	c.Expect(cfg.Auth.Audience != "", "auth.audience", "a name")
	c.Expect(cfg.Auth.AccessTTL >= time.Second && cfg.Auth.AccessTTL <= auth.MaxLifetime, "auth.access_ttl", "a duration from 1s to 1h")
	c.Expect(cfg.Auth.RefreshTTL > cfg.Auth.AccessTTL, "auth.refresh_ttl", "a duration longer than auth.access_ttl")
	c.Expect(cfg.Login.Window > 0, "login.window", "a duration above 0")
	c.Expect(cfg.Login.Pair > 0, "login.pair", "a number above 0")
	c.Expect(cfg.Login.Account > 0, "login.account", "a number above 0")
	c.Expect(cfg.Login.Address > 0, "login.address", "a number above 0")
	c.Expect(cfg.Mail.Dir != "", "mail.dir", "a folder")
	_, ok := user.NormalizeEmail(cfg.Mail.From)
	c.Expect(ok, "mail.from", "an e-mail address")
	base, err := url.Parse(cfg.Mail.BaseURL)
	c.Expect(err == nil && (base.Scheme == "http" || base.Scheme == "https") && base.Host != "", "mail.base_url", "a URL such as https://api.example.org")
}

func load(environ []string) (Config, error) {
	return config.Load(NewConfig(), config.OptionsFromEnviron("user", environ))
}
