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

// KeysPath is the path at which the issuer of tokens serves their public keys as a JWK set.
const KeysPath = "/.well-known/jwks.json"

// MaxLifetime bounds the life of an access token. Ended sessions are kept in memory this long.
const MaxLifetime = time.Hour

// Config names the issuer whose tokens a service accepts that signs none itself.
type Config struct {
	Issuer    string `config:"issuer"`
	Audience  string `config:"audience"`
	IssuerURL string `config:"user_url"` // base URL of the issuer's keys and of its list of ended sessions
}

// Defaults returns the issuer on the same host.
func Defaults() Config {
	return Config{Issuer: "pgo", Audience: "pgo", IssuerURL: "http://127.0.0.1:8081"}
}

// Validate checks the section at key.
func (cfg Config) Validate(c *config.Check, key string) {
	c.Expect(cfg.Issuer != "", key+".issuer", "a name")
	c.Expect(cfg.Audience != "", key+".audience", "a name")
	u, err := url.Parse(cfg.IssuerURL)
	c.Expect(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == "",
		key+".user_url", "a URL such as http://127.0.0.1:8081")
}

// NewRemoteVerifier returns a verifier of the issuer's tokens, whose keys are read in the background until ctx ends, and the
// list of its ended sessions, which the caller runs. The issuer may still be unavailable: until its keys were read the
// verifier answers 503, and until its list was read HasSynced fails. It returns an error if the issuer's URL is invalid.
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
