// Package httpx is the HTTP edge of a program: a Gin engine with the rules that all services keep, strict
// reading of requests, problems as answers, and a life cycle that drops no request.
package httpx

import (
	"net/netip"
	"time"

	"pgo/pkg/config"
)

// Config is how a program serves HTTP.
type Config struct {
	Addr           string        `config:"addr"`            // the public listener, where none is inherited
	AdminAddr      string        `config:"admin_addr"`      // metrics, pprof, log level; port 0 for a free one
	TrustedProxies []string      `config:"trusted_proxies"` // addresses or networks whose X-Forwarded-For is believed
	RequestTimeout time.Duration `config:"request_timeout"` // a request's context ends after this
	DrainTimeout   time.Duration `config:"drain_timeout"`   // how long connections may stay open after the stop began
	MaxBody        int           `config:"max_body"`        // bytes
}

// Defaults returns what fits behind the gateway: upstreams keep idle connections for 5 s, the drain is longer.
func Defaults() Config {
	return Config{
		AdminAddr:      "127.0.0.1:0",
		TrustedProxies: []string{"127.0.0.1", "::1"},
		RequestTimeout: 15 * time.Second,
		DrainTimeout:   7 * time.Second,
		MaxBody:        1 << 20,
	}
}

// Validate checks the section that stands at key.
func (cfg Config) Validate(c *config.Check, key string) {
	c.Expect(cfg.Addr != "", key+".addr", "an address such as 127.0.0.1:8081")
	c.Expect(cfg.AdminAddr != "", key+".admin_addr", "an address such as 127.0.0.1:0") // empty would be every interface
	for _, p := range cfg.TrustedProxies {
		c.Expect(isProxy(p), key+".trusted_proxies", "IP addresses and networks such as 127.0.0.1 and 10.0.0.0/8")
	}
	c.Expect(cfg.RequestTimeout > 0, key+".request_timeout", "a duration above 0")
	c.Expect(cfg.DrainTimeout > 0, key+".drain_timeout", "a duration above 0")
	c.Expect(cfg.MaxBody > 0, key+".max_body", "a number of bytes above 0")
}

func isProxy(s string) bool {
	_, addrErr := netip.ParseAddr(s)
	_, netErr := netip.ParsePrefix(s)
	return addrErr == nil || netErr == nil
}
