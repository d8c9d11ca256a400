package auth

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pgo/pkg/config"
)

// KeysPath is where the issuer of tokens serves the keys that verify them, as a JWK set.
const KeysPath = "/.well-known/jwks.json"

// MaxLifetime is how long an access token may live: no issuer makes one that lives longer, and ended sessions are kept in
// memory for so long.
const MaxLifetime = time.Hour

// Config is whose tokens a service believes that makes none itself.
type Config struct {
	Issuer    string `config:"issuer"`
	Audience  string `config:"audience"`
	IssuerURL string `config:"user_url"` // where the issuer's keys and its list of ended sessions are read
}

// Defaults returns the issuer on the same host.
func Defaults() Config {
	return Config{Issuer: "pgo", Audience: "pgo", IssuerURL: "http://127.0.0.1:8081"}
}

// Validate checks the section that stands at key.
func (cfg Config) Validate(c *config.Check, key string) {
	c.Expect(cfg.Issuer != "", key+".issuer", "a name")
	c.Expect(cfg.Audience != "", key+".audience", "a name")
	u, err := url.Parse(cfg.IssuerURL)
	c.Expect(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == "",
		key+".user_url", "a URL such as http://127.0.0.1:8081")
}

// NewRemoteVerifier returns a verifier of the issuer's tokens, whose keys are read in the background until ctx ends, and the follower
// of its ended sessions, which the caller runs. The issuer need not be there yet: until its keys were read the verifier
// answers 503, and until its list was read the follower is not Synced. The error is a URL that is none.
func NewRemoteVerifier(ctx context.Context, cfg Config, reg prometheus.Registerer, log *zap.Logger) (*Verifier, *RevocationList, error) {
	base, client := strings.TrimRight(cfg.IssuerURL, "/"), &http.Client{}
	keys, err := NewRemoteKeys(ctx, base+KeysPath, client, log)
	if err != nil {
		return nil, nil, err
	}
	ended := NewRevocationList(NewRemoteSource(base+EndedSessionsPath, client), MaxLifetime, reg, log)
	verifier, err := NewVerifier(cfg.Issuer, cfg.Audience, keys, ended, time.Now)
	return verifier, ended, err
}
