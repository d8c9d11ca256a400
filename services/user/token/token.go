// Package token signs access tokens and publishes the keys that verify them.
package token

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pgo/pkg/auth"
	"pgo/services/user"
)

// Keys is a set of Ed25519 signing keys. The first signs. The others only verify, so that tokens signed with an older key
// stay valid until they expire.
type Keys struct {
	signing ed25519.PrivateKey
	kid     string
	public  map[string]ed25519.PublicKey
	jwks    []byte
}

// ParseKeys parses one or more PKCS#8 PEM blocks. A key's id is its thumbprint (RFC 7638). It returns an error if a block
// is not an Ed25519 key or a key appears twice.
func ParseKeys(text []byte) (*Keys, error) {
	k := &Keys{public: map[string]ed25519.PublicKey{}}
	var set []map[string]string
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			if k.signing != nil && len(bytes.TrimSpace(text)) > 0 {
				return nil, fmt.Errorf("after signing key %d: expected another PEM block or nothing", len(set))
			}
			break
		}
		text = rest
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read signing key %d: %w", len(set)+1, err)
		}
		private, ok := parsed.(ed25519.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("signing key %d is not an Ed25519 key", len(set)+1)
		}
		public := private.Public().(ed25519.PublicKey)
		x := base64.RawURLEncoding.EncodeToString(public)
		sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`))
		kid := base64.RawURLEncoding.EncodeToString(sum[:])
		if _, twice := k.public[kid]; twice {
			return nil, fmt.Errorf("signing key %d is a duplicate", len(set)+1)
		}
		if k.signing == nil {
			k.signing, k.kid = private, kid
		}
		k.public[kid] = public
		set = append(set, map[string]string{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA"})
	}
	if k.signing == nil {
		return nil, errors.New("no signing key: expected PKCS#8 PEM blocks")
	}
	var err error
	k.jwks, err = json.Marshal(map[string]any{"keys": set})
	return k, err
}

// JWKS returns the public keys as a JSON Web Key Set.
func (k *Keys) JWKS() []byte { return k.jwks }

// PublicKeys returns the public keys by key id.
func (k *Keys) PublicKeys() map[string]ed25519.PublicKey { return k.public }

// Issuer signs access tokens. It implements user.Signer and is safe for concurrent use.
type Issuer struct {
	Keys     *Keys
	Issuer   string
	Audience string
	Lifetime func() time.Duration
	Now      func() time.Time
}

// Sign implements user.Signer.
func (i *Issuer) Sign(u user.User, sessionID string, issuedAt time.Time) (string, time.Duration, error) {
	now, lifetime := i.Now(), i.Lifetime()
	if age := now.Sub(issuedAt); age < -auth.Leeway || age > lifetime/2 {
		issuedAt = now // a repeated answer must not carry a token that is about to expire or that is not valid yet
	}
	expires := issuedAt.Add(lifetime)
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, auth.Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: i.Issuer, Audience: jwt.ClaimStrings{i.Audience}, Subject: u.ID,
			IssuedAt: jwt.NewNumericDate(issuedAt), ExpiresAt: jwt.NewNumericDate(expires),
		},
		SessionID: sessionID, Role: u.Role,
	})
	t.Header["kid"] = i.Keys.kid
	s, err := t.SignedString(i.Keys.signing)
	return s, expires.Sub(now), err
}
