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

// Config holds every setting. The accounts for MySQL, Redis and RabbitMQ are administrators.
type Config struct {
	Log        logging.Config     `config:"log"`
	HTTP       serve.Config       `config:"http"`
	MySQL      Access             `config:"mysql"`
	Redis      Access             `config:"redis"`
	RabbitMQ   RabbitMQ           `config:"rabbitmq"`
	Services   map[string]Service `config:"services"`        // by name; their accounts have the same names
	Monitor    Monitor            `config:"monitor"`         // the exporters' accounts; an account without a password is not created
	Deadline   time.Duration      `config:"deadline"`        // until all three servers serve
	Probes     int                `config:"probe_successes"` // probes in a row that each server must pass
	GatewayURL string             `config:"gateway_url"`     // the services' API as a browser reaches it
	Wake       string             `config:"wake"`            // a shell command that starts the services; "" where a supervisor starts them itself
}

// Access is the address of a server and an account on it.
type Access struct {
	Addr     string        `config:"addr"`
	Username string        `config:"username"`
	Password config.Secret `config:"password"`
}

// RabbitMQ is the address of the broker, of its management API, and an account for both.
type RabbitMQ struct {
	Addr     string        `config:"addr"`
	API      string        `config:"api"`
	Username string        `config:"username"`
	Password config.Secret `config:"password"`
	Vhost    string        `config:"vhost"`
}

// Service is the program of a service and the passwords for its accounts.
type Service struct {
	Binary           string        `config:"binary"`
	MySQLPassword    config.Secret `config:"mysql_password"`
	RedisPassword    config.Secret `config:"redis_password"`
	RabbitMQPassword config.Secret `config:"rabbitmq_password"`
}

// Monitor holds the passwords for the exporters' accounts.
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
		Probes:     2,
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
		c.ExpectAddr(a.key+".addr", a.Addr, "127.0.0.1:3306")
		c.Expect(a.Username != "", a.key+".username", "an administrator's account")
		c.ExpectSecret(a.key+".password", a.Password)
	}
	c.Expect(isHTTPURL(cfg.RabbitMQ.API), "rabbitmq.api", "an address such as http://127.0.0.1:15672")
	c.Expect(cfg.RabbitMQ.Vhost != "", "rabbitmq.vhost", "a vhost's name")
	c.Expect(cfg.Deadline > 0, "deadline", "a duration above 0")
	c.Expect(cfg.Probes >= 1 && cfg.Probes <= 100, "probe_successes", "a number from 1 to 100")
	c.Expect(isHTTPURL(cfg.GatewayURL), "gateway_url", "an address such as http://127.0.0.1:8080")
	for key, password := range map[string]config.Secret{"monitor.mysql_password": cfg.Monitor.MySQLPassword, "monitor.redis_password": cfg.Monitor.RedisPassword} {
		if password.Reveal() != "" {
			c.ExpectSecret(key, password)
		}
	}
	c.Expect(len(cfg.Services) > 0, "services", "at least one service")
	for _, name := range slices.Sorted(maps.Keys(cfg.Services)) {
		s, key := cfg.Services[name], "services."+name
		if err := account.CheckName(name); err != nil {
			c.Expect(false, key, "a valid name: "+err.Error())
		}
		c.Expect(name != cfg.MySQL.Username && name != cfg.Redis.Username && name != cfg.RabbitMQ.Username, key, "a name that is not the administrator's")
		c.Expect(s.Binary != "", key+".binary", "the path of a program")
		c.ExpectSecret(key+".mysql_password", s.MySQLPassword)
		c.ExpectSecret(key+".redis_password", s.RedisPassword)
		c.ExpectSecret(key+".rabbitmq_password", s.RabbitMQPassword)
	}
}

func isHTTPURL(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// loadConfig reads the configuration files that the environment names, and the environment over them.
func loadConfig(environ []string) (Config, error) {
	return config.Load(NewConfig(), config.OptionsFromEnviron("bootcheck", environ))
}

// serverAccess returns the addresses and accounts of the three servers.
func (cfg Config) serverAccess() server.Servers {
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

func (cfg Config) monitorPasswords() gate.MonitorPasswords {
	return gate.MonitorPasswords{MySQLPassword: cfg.Monitor.MySQLPassword.Reveal(), RedisPassword: cfg.Monitor.RedisPassword.Reveal()}
}

// gateServices returns the services sorted by name, so that every run works in the same order.
func (cfg Config) gateServices() ([]gate.Service, error) {
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
