package auth_test

import (
	"context"
	"crypto/ed25519"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pgo/pkg/auth"
	"pgo/pkg/testing/configtest"
)

func TestConfig(t *testing.T) {
	configtest.AssertRejected(t, auth.Defaults(), []string{"user_url=https://user.example.org/"}, []string{
		"issuer=", "audience=", "user_url=", "user_url=127.0.0.1:8081", "user_url=ftp://127.0.0.1", "user_url=http://", "user_url=http://127.0.0.1/api",
		"user_url=http://127.0.0.1?x=1", "user_url=http://127.0.0.1/#x", "user_url=http://[::1",
	})
}

// TestNewRemoteVerifier gives it an issuer that has one key and one ended session.
func TestNewRemoteVerifier(t *testing.T) {
	pub, priv := newKey(t)
	src := &fakeSource{ended: map[string]time.Time{}, now: time.Now()}
	src.end("gone", time.Now())
	keys, sessions := jwks(t, map[string]ed25519.PublicKey{"k1": pub}), "http://"+issuer(t, src).Addr()
	mux := http.NewServeMux()
	mux.HandleFunc(auth.KeysPath, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(keys)) })
	mux.HandleFunc(auth.EndedSessionsPath, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, sessions+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	verifier, ended, err := auth.NewRemoteVerifier(ctx, auth.Config{Issuer: "pgo", Audience: "pgo-api", IssuerURL: server.URL + "/"}, prometheus.NewRegistry(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = ended.Run(ctx) }()
	for deadline := time.Now().Add(10 * time.Second); ended.HasSynced(ctx) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the list of ended sessions is never read")
		}
	}
	token := func(session string) string {
		return sign(t, jwt.SigningMethodEdDSA, "k1", claims(func(c *auth.Claims) {
			c.SessionID, c.IssuedAt, c.ExpiresAt = session, jwt.NewNumericDate(time.Now()), jwt.NewNumericDate(time.Now().Add(time.Minute))
		}), priv)
	}
	if p, err := verifier.Verify(token("s1")); err != nil || p.SessionID != "s1" {
		t.Errorf("an open session: %+v, %v", p, err)
	}
	if _, err := verifier.Verify(token("gone")); err == nil {
		t.Error("an ended session is taken")
	}
	if _, _, err := auth.NewRemoteVerifier(ctx, auth.Config{IssuerURL: "nonsense"}, prometheus.NewRegistry(), zap.NewNop()); err == nil {
		t.Error("an address that is none is taken")
	}
}
