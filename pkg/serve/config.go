// Package serve runs a program that answers HTTP: it takes inherited listeners or binds new ones, accepts connections once the
// program is ready, runs workers beside the servers, notifies the process manager, and drains without dropping a request.
package serve

import (
	"time"

	"pgo/pkg/config"
	"pgo/pkg/httpx"
)

// Config sets where a program listens, how long its drain may last, and what its request edge accepts.
type Config struct {
	Addr         string        `config:"addr"`          // the public listener, unless one is inherited
	AdminAddr    string        `config:"admin_addr"`    // metrics, pprof, log level; port 0 for a free one
	DrainTimeout time.Duration `config:"drain_timeout"` // how long connections may stay open after the stop began

	httpx.Config `config:",squash"` // the edge's keys stand beside these, in one section
}

// Defaults returns what fits behind the gateway: upstreams keep idle connections for 5 s, and the drain is longer.
func Defaults() Config {
	return Config{AdminAddr: "127.0.0.1:0", DrainTimeout: 7 * time.Second, Config: httpx.Defaults()}
}

// Validate checks the section at key.
func (cfg Config) Validate(c *config.Check, key string) {
	c.ExpectListenAddr(key+".addr", cfg.Addr, "127.0.0.1:8081")
	c.ExpectListenAddr(key+".admin_addr", cfg.AdminAddr, "127.0.0.1:0") // empty would be every interface
	c.Expect(cfg.DrainTimeout > 0, key+".drain_timeout", "a duration above 0")
	cfg.Config.Validate(c, key)
}
