package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pgo/pkg/auth"
)

// forge signs claims that are like those of the token but for change. The zero method and key are the service's own.
func (env *testEnv) forge(t testing.TB, token string, method jwt.SigningMethod, key any, change func(*auth.Claims)) string {
	t.Helper()
	var c auth.Claims
	parsed, _, err := jwt.NewParser().ParseUnverified(token, &c)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&c)
	}
	if method == nil {
		method, key = jwt.SigningMethodEdDSA, env.key
	}
	forged := jwt.NewWithClaims(method, c)
	forged.Header["kid"] = parsed.Header["kid"]
	s, err := forged.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// forgeries returns tokens that must be rejected, by their fault. Each is a valid admin's token with one change.
func (env *testEnv) forgeries(t testing.TB, s *testClient) map[string]string {
	t.Helper()
	admin := s.signUp("Eve")
	s.expect(request{Method: "PATCH", Path: "/api/v1/users/" + admin.ID, Token: env.createAdmin(t, s, "maker@example.org").Access, Body: map[string]string{"role": "admin"}}, 200, "")
	admin = s.signIn(admin, password)
	good := admin.Access
	if res := s.send(request{Method: "GET", Path: "/api/v1/users", Token: env.forge(t, good, nil, nil, nil)}); res.Status != 200 {
		t.Fatalf("a forged token without a fault is rejected: %s", res.Body) // else the others show nothing
	}
	_, otherKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	deleted := s.signUp("Gone")
	s.expect(request{Method: "DELETE", Path: "/api/v1/users/me", Token: deleted.Access, Body: map[string]string{"password": password}}, 204, "")
	parts := strings.Split(good, ".")
	return map[string]string{
		"missing":           "",
		"nonsense":          "nonsense",
		"too long":          strings.Repeat("a", 8000),
		"of a deleted user": deleted.Access,
		"a refresh token":   admin.Refresh,
		"expired": env.forge(t, good, nil, nil, func(c *auth.Claims) {
			c.IssuedAt, c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Hour)), jwt.NewNumericDate(time.Now().Add(-2*auth.Leeway))
		}),
		"without expiry":          env.forge(t, good, nil, nil, func(c *auth.Claims) { c.ExpiresAt = nil }),
		"for another audience":    env.forge(t, good, nil, nil, func(c *auth.Claims) { c.Audience = jwt.ClaimStrings{"other"} }),
		"of another issuer":       env.forge(t, good, nil, nil, func(c *auth.Claims) { c.Issuer = "other" }),
		"of another key":          env.forge(t, good, jwt.SigningMethodEdDSA, otherKey, nil),
		"alg none":                env.forge(t, good, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"public key as a secret":  env.forge(t, good, jwt.SigningMethodHS256, []byte(env.key.Public().(ed25519.PublicKey)), nil),
		"without signature":       parts[0] + "." + parts[1] + ".",
		"with another's content":  parts[0] + "." + strings.Split(deleted.Access, ".")[1] + "." + parts[2],
		"with a changed content":  env.forge(t, good, jwt.SigningMethodEdDSA, otherKey, func(c *auth.Claims) { c.Role = "admin" }),
		"without role and claims": env.forge(t, good, nil, nil, func(c *auth.Claims) { c.Role, c.SessionID = "", "" }),
	}
}
