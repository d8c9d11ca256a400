package main

import (
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"pgo/bootcheck/account"
	"pgo/bootcheck/gate"
	"pgo/bootcheck/server"
	"pgo/pkg/config"
	"pgo/pkg/logging"
	"pgo/pkg/serve"
)

// Config is everything that can be set. MySQL, Redis and RabbitMQ are reached as an administrator.
type Config struct {
	Log        logging.Config     `config:"log"`
	HTTP       serve.Config       `config:"http"`
	MySQL      Access             `config:"mysql"`
	Redis      Access             `config:"redis"`
	RabbitMQ   RabbitMQ           `config:"rabbitmq"`
	Services   map[string]Service `config:"services"`    // by name, which is also the name of their accounts
	Monitor    Monitor            `config:"monitor"`     // the exporters' accounts; without a password there is none
	Deadline   time.Duration      `config:"deadline"`    // for all three servers together to serve
	GatewayURL string             `config:"gateway_url"` // where a browser finds the services' API
	Wake       string             `config:"wake"`        // a command for the shell that starts the services, where nobody else does
}

// Access is how a server is reached.
type Access struct {
	Addr     string        `config:"addr"`
	Username string        `config:"username"`
	Password config.Secret `config:"password"`
}

// RabbitMQ is reached over AMQP and over its management API.
type RabbitMQ struct {
	Addr     string        `config:"addr"`
	API      string        `config:"api"`
	Username string        `config:"username"`
	Password config.Secret `config:"password"`
	Vhost    string        `config:"vhost"`
}

// Service is a service's program and what its accounts are to have as passwords.
type Service struct {
	Binary           string        `config:"binary"`
	MySQLPassword    config.Secret `config:"mysql_password"`
	RedisPassword    config.Secret `config:"redis_password"`
	RabbitMQPassword config.Secret `config:"rabbitmq_password"`
}

// Monitor is what the exporters' accounts are to have as passwords.
type Monitor struct {
	MySQLPassword config.Secret `config:"mysql_password"`
	RedisPassword config.Secret `config:"redis_password"`
}

// NewConfig returns every default.
func NewConfig() Config {
	http := serve.Defaults()
	http.Addr = "127.0.0.1:8090"
	return Config{
		Log:        logging.Config{Level: "info"},
		HTTP:       http,
		MySQL:      Access{Addr: "127.0.0.1:13306", Username: "pgo_admin"},
		Redis:      Access{Addr: "127.0.0.1:16379", Username: "pgo_admin"},
		RabbitMQ:   RabbitMQ{Addr: "127.0.0.1:15673", API: "http://127.0.0.1:15672", Username: "pgo_admin", Vhost: "pgo"},
		Services:   map[string]Service{},
		Deadline:   5 * time.Minute,
		GatewayURL: "http://127.0.0.1:8080",
	}
}

// Validate implements config.Validator.
func (cfg *Config) Validate(c *config.Check) {
	cfg.HTTP.Validate(c, "http")
	for _, a := range []struct {
		key string
		Access
	}{
		{"mysql", cfg.MySQL},
		{"redis", cfg.Redis},
		{"rabbitmq", Access{cfg.RabbitMQ.Addr, cfg.RabbitMQ.Username, cfg.RabbitMQ.Password}},
	} {
		c.Expect(a.Addr != "", a.key+".addr", "an address such as 127.0.0.1:3306")
		c.Expect(a.Username != "", a.key+".username", "an administrator's account")
		c.ExpectSecret(a.key+".password", a.Password)
	}
	c.Expect(isHTTP(cfg.RabbitMQ.API), "rabbitmq.api", "an address such as http://127.0.0.1:15672")
	c.Expect(cfg.RabbitMQ.Vhost != "", "rabbitmq.vhost", "a vhost's name")
	c.Expect(cfg.Deadline > 0, "deadline", "a duration above 0")
	c.Expect(isHTTP(cfg.GatewayURL), "gateway_url", "an address such as http://127.0.0.1:8080")
	for key, password := range map[string]config.Secret{"monitor.mysql_password": cfg.Monitor.MySQLPassword, "monitor.redis_password": cfg.Monitor.RedisPassword} {
		if password.Reveal() != "" {
			c.ExpectSecret(key, password)
		}
	}
	c.Expect(len(cfg.Services) > 0, "services", "at least one service")
	for _, name := range slices.Sorted(maps.Keys(cfg.Services)) {
		s, key := cfg.Services[name], "services."+name
		if err := account.CheckName(name); err != nil {
			c.Expect(false, key, "another name: "+err.Error())
		}
		c.Expect(name != cfg.MySQL.Username && name != cfg.Redis.Username && name != cfg.RabbitMQ.Username, key, "a name that is not the administrator's")
		c.Expect(s.Binary != "", key+".binary", "the path of a program")
		c.ExpectSecret(key+".mysql_password", s.MySQLPassword)
		c.ExpectSecret(key+".redis_password", s.RedisPassword)
		c.ExpectSecret(key+".rabbitmq_password", s.RabbitMQPassword)
	}
}

func isHTTP(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// load reads the configuration as the environment says.
func load(environ []string) (Config, error) {
	return config.Load(NewConfig(), config.OptionsFromEnviron("bootcheck", environ))
}

// servers returns the three servers as the gate wants them.
func (cfg Config) servers() server.Servers {
	access := func(addr, username string, password config.Secret) server.Access {
		return server.Access{Addr: addr, Username: username, Password: password.Reveal()}
	}
	return server.Servers{
		MySQL: access(cfg.MySQL.Addr, cfg.MySQL.Username, cfg.MySQL.Password),
		Redis: access(cfg.Redis.Addr, cfg.Redis.Username, cfg.Redis.Password),
		RabbitMQ: server.RabbitMQ{
			Access: access(cfg.RabbitMQ.Addr, cfg.RabbitMQ.Username, cfg.RabbitMQ.Password),
			API:    cfg.RabbitMQ.API, Vhost: cfg.RabbitMQ.Vhost,
		},
	}
}

func (cfg Config) monitor() gate.Monitor {
	return gate.Monitor{MySQLPassword: cfg.Monitor.MySQLPassword.Reveal(), RedisPassword: cfg.Monitor.RedisPassword.Reveal()}
}

// services returns the services in the order of their names, so that every run does the same.
func (cfg Config) services() ([]gate.Service, error) {
	var out []gate.Service
	for _, name := range slices.Sorted(maps.Keys(cfg.Services)) {
		s := cfg.Services[name]
		path, err := filepath.Abs(s.Binary)
		if err != nil {
			return nil, err
		}
		out = append(out, gate.Service{Binary: path, Service: account.Service{
			Name: name, MySQLPassword: s.MySQLPassword.Reveal(), RedisPassword: s.RedisPassword.Reveal(), RabbitMQPassword: s.RabbitMQPassword.Reveal(),
		}})
	}
	return out, nil
}
