package main

import (
	"pgo/pkg/auth"
	"pgo/pkg/config"
	"pgo/pkg/service"
)

// name is the service's, and begins the names of its accounts, queues and keys.
const name = "school"

// Config is the configuration of the School service. The log level takes effect when the configuration is reloaded, the rest
// at the next start.
type Config struct {
	service.Config `config:",squash"`

	Auth auth.Config `config:"auth"` // the issuer whose tokens are accepted
}

// NewConfig returns every default.
func NewConfig() Config {
	return Config{Config: service.Defaults(name, "127.0.0.1:8082"), Auth: auth.Defaults()}
}

// Validate implements config.Validator.
func (cfg *Config) Validate(c *config.Check) {
	cfg.Config.Validate(c)
	cfg.Auth.Validate(c, "auth")
}

func load(environ []string) (Config, error) {
	return config.Load(NewConfig(), config.OptionsFromEnviron(name, environ))
}
