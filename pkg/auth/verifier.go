package auth

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"

	"pgo/pkg/problem"
)

const (
	maxToken        = 4096   // bytes; ours are under 600
	maxCachedTokens = 10_000 // a signature is checked once a token, not once a request
)

// Leeway is how far the clocks of the issuer and of a verifier may differ: a token is accepted this long before its times
// of issue and validity, and this long after it expires.
const Leeway = 30 * time.Second

// RevocationChecker reports the sessions that were ended before their tokens expire.
type RevocationChecker interface {
	// IsRevoked reports whether the session is ended.
	IsRevoked(sessionID string) bool
}

// Verifier verifies access tokens. It is safe for concurrent use.
type Verifier struct {
	keys    jwt.Keyfunc
	revoked RevocationChecker
	parser  *jwt.Parser
	cache   *lru.Cache[[sha256.Size]byte, Principal]
	now     func() time.Time
}

// NewVerifier returns a verifier of EdDSA tokens that issuer signed for audience with one of keys.
func NewVerifier(issuer, audience string, keys jwt.Keyfunc, revoked RevocationChecker, now func() time.Time) (*Verifier, error) {
	cache, err := lru.New[[sha256.Size]byte, Principal](maxCachedTokens)
	if err != nil {
		return nil, err
	}
	return &Verifier{
		keys: keys, revoked: revoked, cache: cache, now: now,
		parser: jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(now), jwt.WithLeeway(Leeway), jwt.WithStrictDecoding()),
	}, nil
}

// Verify returns the principal of a valid token. It returns an unauthenticated problem for any other token, and an
// unavailable one if the keys cannot be read now. It checks expiry and revocation at each call, the signature once.
func (v *Verifier) Verify(token string) (Principal, error) {
	if token == "" || len(token) > maxToken {
		return Principal{}, problem.Unauthenticated("The access token is not valid.")
	}
	hash := sha256.Sum256([]byte(token))
	p, ok := v.cache.Get(hash)
	if !ok {
		var err error
		if p, err = v.parseToken(token); err != nil {
			return Principal{}, err
		}
		v.cache.Add(hash, p)
	}
	if !v.now().Before(p.expires.Add(Leeway)) {
		v.cache.Remove(hash)
		return Principal{}, problem.Unauthenticated("The access token has expired.")
	}
	if v.revoked.IsRevoked(p.SessionID) {
		v.cache.Remove(hash)
		return Principal{}, problem.Unauthenticated("The session has ended.")
	}
	return p, nil
}

func (v *Verifier) parseToken(token string) (Principal, error) {
	var c Claims
	_, err := v.parser.ParseWithClaims(token, &c, v.keys)
	switch {
	case errors.Is(err, ErrKeysUnavailable):
		return Principal{}, problem.Unavailable().WithCause(err)
	case errors.Is(err, jwt.ErrTokenExpired):
		return Principal{}, problem.Unauthenticated("The access token has expired.").WithCause(err)
	case err != nil:
		return Principal{}, problem.Unauthenticated("The access token is not valid.").WithCause(err)
	case c.Subject == "" || c.SessionID == "" || c.Role == "":
		return Principal{}, problem.Unauthenticated("The access token lacks a claim.")
	}
	return Principal{UserID: c.Subject, SessionID: c.SessionID, Role: c.Role, expires: c.ExpiresAt.Time}, nil
}

// ErrKeysUnavailable reports that a key source has no keys because their issuer is unavailable.
var ErrKeysUnavailable = errors.New("signing keys are not available")

var errUnknownKey = errors.New("unknown key")

// NewStaticKeys returns the keys of the issuer itself: public keys by key id.
func NewStaticKeys(keys map[string]ed25519.PublicKey) jwt.Keyfunc {
	return func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if k, ok := keys[kid]; ok {
			return k, nil
		}
		return nil, errUnknownKey
	}
}
