// Package httpx is the request edge of a program: a Gin engine with the rules that all services keep, strict reading of
// requests, and problems as answers. It knows nothing of listeners and of the program's life, which package serve runs.
package httpx

import (
	"net/netip"
	"time"

	"pgo/pkg/config"
)

// Config sets what the edge accepts.
type Config struct {
	TrustedProxies []string      `config:"trusted_proxies"` // addresses or networks whose X-Forwarded-For is believed
	RequestTimeout time.Duration `config:"request_timeout"` // a request's context ends after this
	MaxBody        int           `config:"max_body"`        // bytes
}

// Defaults returns limits for a program behind the gateway on the same host.
func Defaults() Config {
	return Config{TrustedProxies: []string{"127.0.0.1", "::1"}, RequestTimeout: 15 * time.Second, MaxBody: 1 << 20}
}

// Validate checks the section at key.
func (cfg Config) Validate(c *config.Check, key string) {
	for _, p := range cfg.TrustedProxies {
		c.Expect(isProxy(p), key+".trusted_proxies", "IP addresses and networks such as 127.0.0.1 and 10.0.0.0/8")
	}
	c.Expect(cfg.RequestTimeout > 0, key+".request_timeout", "a duration above 0")
	c.Expect(cfg.MaxBody > 0, key+".max_body", "a number of bytes above 0")
}

func isProxy(s string) bool {
	_, addrErr := netip.ParseAddr(s)
	_, netErr := netip.ParsePrefix(s)
	return addrErr == nil || netErr == nil
}
