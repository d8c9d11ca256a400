package servicetest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pgo/pkg/auth"
	"pgo/pkg/httpx"
	"pgo/pkg/testing/testkit"
)

const tokenLifetime = 15 * time.Minute

// Issuer replaces the service that signs users in: it makes tokens, and serves the keys that verify them and the list of
// ended sessions. Link cuts it off.
type Issuer struct {
	Link *testkit.Link

	t testing.TB

	mu    sync.Mutex
	kid   string
	key   ed25519.PrivateKey
	keys  []map[string]string // public keys, also those that sign no more
	ended map[string]time.Time
}

// NewIssuer returns an issuer that ends with the test. Its tokens are those of issuer pgo for audience pgo.
func NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{t: t, ended: map[string]time.Time{}}
	i.RotateKey()
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.GET(auth.KeysPath, i.serveKeys)
	e.GET(auth.EndedSessionsPath, httpx.Handle(auth.ServeEndedSessions(auth.NewRevocationList(i, tokenLifetime, prometheus.NewRegistry(), zap.NewNop()))))
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	i.Link = testkit.NewLink(t, u.Host)
	return i
}

// URL returns the issuer's base URL.
func (i *Issuer) URL() string { return "http://" + i.Link.Addr() }

// Environ makes a service accept this issuer's tokens.
func (i *Issuer) Environ() []string { return []string{"PGO_CFG_AUTH__USER_URL=" + i.URL()} }

// RotateKey signs with a new key from now on. The old keys stay valid for verification.
func (i *Issuer) RotateKey() {
	i.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	kid := uuid.NewString()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.kid, i.key = kid, private
	i.keys = append(i.keys, map[string]string{
		"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "alg": jwt.SigningMethodEdDSA.Alg(), "x": base64.RawURLEncoding.EncodeToString(public),
	})
}

// NewToken signs a user in and returns the access token of the new session.
func (i *Issuer) NewToken(userID, role string) string {
	i.t.Helper()
	return i.SignToken(func(c *auth.Claims) { c.Subject, c.Role = userID, role })
}

// SignToken returns a token with valid claims after change, which must give it a subject.
func (i *Issuer) SignToken(change func(*auth.Claims)) string {
	i.t.Helper()
	now := time.Now()
	c := auth.Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: "pgo", Audience: jwt.ClaimStrings{"pgo"}, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(tokenLifetime)),
		},
		SessionID: uuid.NewString(), Role: "user",
	}
	change(&c)
	i.mu.Lock()
	defer i.mu.Unlock()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
	token.Header["kid"] = i.kid
	s, err := token.SignedString(i.key)
	if err != nil {
		i.t.Fatal(err)
	}
	return s
}

// EndSession ends the session of a token.
func (i *Issuer) EndSession(token string) {
	i.t.Helper()
	var c auth.Claims
	if _, _, err := jwt.NewParser().ParseUnverified(token, &c); err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended[c.SessionID] = time.Now()
}

// EndedSince implements auth.RevocationSource.
func (i *Issuer) EndedSince(_ context.Context, since time.Time) (ids []string, now time.Time, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for id, at := range i.ended {
		if !at.Before(since) {
			ids = append(ids, id)
		}
	}
	return ids, time.Now(), nil
}

func (i *Issuer) serveKeys(c *gin.Context) {
	i.mu.Lock()
	defer i.mu.Unlock()
	c.JSON(http.StatusOK, map[string]any{"keys": i.keys})
}
