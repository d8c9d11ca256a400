package mq

import "pgo/pkg/config"

// Settings are the part of a Config that comes from a program's configuration.
type Settings struct {
	Addr     string        `config:"addr"`
	Username string        `config:"username"`
	Password config.Secret `config:"password"`
	Vhost    string        `config:"vhost"`
}

// Validate checks the section at key.
func (s Settings) Validate(c *config.Check, key string) {
	c.ExpectAddr(key+".addr", s.Addr, "127.0.0.1:5672")
	c.Expect(s.Username != "", key+".username", "an account's name")
	c.Expect(s.Vhost != "", key+".vhost", "a vhost's name")
	c.ExpectSecret(key+".password", s.Password)
}

// Config returns the settings as a Config whose connections carry name.
func (s Settings) Config(name string) Config {
	return Config{Addr: s.Addr, Username: s.Username, Password: s.Password.Reveal(), Vhost: s.Vhost, Name: name}
}
