package auth_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pgo/pkg/auth"
	"pgo/pkg/problem"
	"pgo/pkg/testing/testkit"
)

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

type revoked map[string]bool

func (r revoked) IsRevoked(id string) bool { return r[id] }

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newKey(t testing.TB) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return pub, priv
}

func claims(change func(*auth.Claims)) auth.Claims {
	c := auth.Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: "pgo", Audience: jwt.ClaimStrings{"pgo-api"}, Subject: "u1",
			IssuedAt: jwt.NewNumericDate(epoch), ExpiresAt: jwt.NewNumericDate(epoch.Add(15 * time.Minute)),
		},
		SessionID: "s1", Role: "user",
	}
	if change != nil {
		change(&c)
	}
	return c
}

func sign(t testing.TB, method jwt.SigningMethod, kid string, c auth.Claims, key any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	if kid != "" {
		token.Header["kid"] = kid
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newVerifier(t testing.TB, keys jwt.Keyfunc, r revoked, c *clock) *auth.Verifier {
	t.Helper()
	v, err := auth.NewVerifier("pgo", "pgo-api", keys, r, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerify(t *testing.T) {
	pub, priv := newKey(t)
	_, other := newKey(t)
	keys := auth.NewStaticKeys(map[string]ed25519.PublicKey{"k1": pub})
	eddsa := jwt.SigningMethodEdDSA
	good := sign(t, eddsa, "k1", claims(nil), priv)
	parts := strings.Split(good, ".")
	for _, tc := range []struct {
		name  string
		token string
		ok    bool
	}{
		{"good", good, true},
		{"empty", "", false},
		{"not a token", "a.b.c", false},
		{"too long", strings.Repeat("a", 5000), false},
		{"another key", sign(t, eddsa, "k1", claims(nil), other), false},
		{"unknown key id", sign(t, eddsa, "k2", claims(nil), priv), false},
		{"no key id", sign(t, eddsa, "", claims(nil), priv), false},
		{"alg none", sign(t, jwt.SigningMethodNone, "k1", claims(nil), jwt.UnsafeAllowNoneSignatureType), false},
		{"public key as HMAC secret", sign(t, jwt.SigningMethodHS256, "k1", claims(nil), []byte(pub)), false},
		{"signature cut off", parts[0] + "." + parts[1] + ".", false},
		{"content changed", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"admin"}`)) + "." + parts[2], false},
		{"expired by less than the leeway", sign(t, eddsa, "k1", claims(func(c *auth.Claims) { c.ExpiresAt = jwt.NewNumericDate(epoch.Add(time.Second - auth.Leeway)) }), priv), true},
		{"expired", sign(t, eddsa, "k1", claims(func(c *auth.Claims) { c.ExpiresAt = jwt.NewNumericDate(epoch.Add(-time.Second - auth.Leeway)) }), priv), false},
		{"without expiry", sign(t, eddsa, "k1", claims(func(c *auth.Claims) { c.ExpiresAt = nil }), priv), false},
		{"issued ahead of this clock by the leeway", sign(t, eddsa, "k1", claims(func(c *auth.Claims) { c.IssuedAt = jwt.NewNumericDate(epoch.Add(auth.Leeway)) }), priv), true},
		{"issued in the future", sign(t, eddsa, "k1", claims(func(c *auth.Claims) { c.IssuedAt = jwt.NewNumericDate(epoch.Add(auth.Leeway + time.Second)) }), priv), false},
		{"valid from within the leeway", sign(t, eddsa, "k1", claims(func(c *auth.Claims) { c.NotBefore = jwt.NewNumericDate(epoch.Add(auth.Leeway)) }), priv), true},
		{"not valid yet", sign(t, eddsa, "k1", claims(func(c *auth.Claims) { c.NotBefore = jwt.NewNumericDate(epoch.Add(auth.Leeway + time.Second)) }), priv), false},
		{"another issuer", sign(t, eddsa, "k1", claims(func(c *auth.Claims) { c.Issuer = "evil" }), priv), false},
		{"another audience", sign(t, eddsa, "k1", claims(func(c *auth.Claims) { c.Audience = jwt.ClaimStrings{"other"} }), priv), false},
		{"no subject", sign(t, eddsa, "k1", claims(func(c *auth.Claims) { c.Subject = "" }), priv), false},
		{"no session", sign(t, eddsa, "k1", claims(func(c *auth.Claims) { c.SessionID = "" }), priv), false},
		{"no role", sign(t, eddsa, "k1", claims(func(c *auth.Claims) { c.Role = "" }), priv), false},
		{"revoked session", sign(t, eddsa, "k1", claims(func(c *auth.Claims) { c.SessionID = "ended" }), priv), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := newVerifier(t, keys, revoked{"ended": true}, &clock{epoch})
			p, err := v.Verify(tc.token)
			if tc.ok {
				if err != nil || p.UserID != "u1" || p.SessionID != "s1" || p.Role != "user" {
					t.Errorf("got %+v, %v", p, err)
				}
				return
			}
			if pr, ok := errors.AsType[*problem.Error](err); !ok || pr.Kind != problem.KindUnauthenticated {
				t.Errorf("got %v, want 401", err)
			}
		})
	}
}

func TestCachedTokenExpiresAndIsRevoked(t *testing.T) {
	pub, priv := newKey(t)
	now, ended := &clock{epoch}, revoked{}
	v := newVerifier(t, auth.NewStaticKeys(map[string]ed25519.PublicKey{"k1": pub}), ended, now)
	token := sign(t, jwt.SigningMethodEdDSA, "k1", claims(nil), priv)
	if _, err := v.Verify(token); err != nil {
		t.Fatal(err)
	}
	ended["s1"] = true
	if _, err := v.Verify(token); err == nil {
		t.Error("a cached token outlives its session")
	}
	delete(ended, "s1")
	now.at = epoch.Add(15*time.Minute + auth.Leeway - time.Second)
	if _, err := v.Verify(token); err != nil {
		t.Errorf("a cached token is refused within the leeway: %v", err)
	}
	now.at = epoch.Add(15*time.Minute + auth.Leeway)
	if _, err := v.Verify(token); err == nil {
		t.Error("a cached token outlives its expiry")
	}
}

func TestRequireTokenAndRole(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	pub, priv := newKey(t)
	v := newVerifier(t, auth.NewStaticKeys(map[string]ed25519.PublicKey{"k1": pub}), revoked{}, &clock{epoch})
	user := sign(t, jwt.SigningMethodEdDSA, "k1", claims(nil), priv)
	admin := sign(t, jwt.SigningMethodEdDSA, "k1", claims(func(c *auth.Claims) { c.Role = "admin" }), priv)
	e := gin.New()
	e.GET("/me", auth.RequireToken(v), func(c *gin.Context) { c.String(http.StatusOK, auth.PrincipalFrom(c).UserID) })
	e.GET("/admin", auth.RequireToken(v), auth.RequireRole("admin"), func(c *gin.Context) { c.Status(http.StatusOK) })
	for _, tc := range []struct {
		name, path string
		headers    []string
		want       int
	}{
		{"good", "/me", []string{"Bearer " + user}, 200},
		{"lower case", "/me", []string{"bearer " + user}, 200},
		{"none", "/me", nil, 401},
		{"two", "/me", []string{"Bearer " + user, "Bearer " + admin}, 401},
		{"basic", "/me", []string{"Basic eDp5"}, 401},
		{"only the scheme", "/me", []string{"Bearer"}, 401},
		{"token alone", "/me", []string{user}, 401},
		{"role lacks", "/admin", []string{"Bearer " + user}, 403},
		{"role suffices", "/admin", []string{"Bearer " + admin}, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, tc.path, nil)
			for _, h := range tc.headers {
				r.Header.Add("Authorization", h)
			}
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			if w.Code != tc.want {
				t.Errorf("got %d, want %d: %s", w.Code, tc.want, w.Body)
			}
			if tc.want == 401 && w.Header().Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
		})
	}
}

// jwks is a key set as its issuer serves it.
func jwks(t testing.TB, keys map[string]ed25519.PublicKey) string {
	t.Helper()
	var set []map[string]string
	for kid, pub := range keys {
		set = append(set, map[string]string{"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "alg": "EdDSA", "x": base64.RawURLEncoding.EncodeToString(pub)})
	}
	text, err := json.Marshal(map[string]any{"keys": set})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// remoteKeys follows the key set at url until the test ends.
func remoteKeys(t *testing.T, url string, log *zap.Logger) jwt.Keyfunc {
	t.Helper()
	keys, err := auth.NewRemoteKeys(t.Context(), url, client(t), log)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestRemoteKeysSurviveAnOutageOfTheirServer(t *testing.T) {
	pub, priv := newKey(t)
	set := jwks(t, map[string]ed25519.PublicKey{"k1": pub})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, set) }))
	v := newVerifier(t, remoteKeys(t, srv.URL, zap.NewNop()), revoked{}, &clock{epoch})
	token := sign(t, jwt.SigningMethodEdDSA, "k1", claims(nil), priv)
	if _, err := v.Verify(token); err != nil {
		t.Fatal(err)
	}
	srv.Close()
	other := sign(t, jwt.SigningMethodEdDSA, "k1", claims(func(c *auth.Claims) { c.Subject = "u2" }), priv)
	if _, err := v.Verify(other); err != nil {
		t.Errorf("with the server down: %v", err)
	}
}

// fakeSource is a list of ended sessions with a clock of its own, which may be down.
type fakeSource struct {
	mu    sync.Mutex
	ended map[string]time.Time
	now   time.Time
	down  bool
}

func (s *fakeSource) EndedSince(_ context.Context, t time.Time) ([]string, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, time.Time{}, errors.New("down")
	}
	var ids []string
	for id, at := range s.ended {
		if !at.Before(t) {
			ids = append(ids, id)
		}
	}
	return ids, s.now, nil
}

func (s *fakeSource) end(id string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended[id] = at
}

func TestRevocationList(t *testing.T) {
	now := time.Now()
	src := &fakeSource{ended: map[string]time.Time{"before the start": now.Add(-10 * time.Minute)}, now: now}
	f := auth.NewRevocationList(src, 15*time.Minute, prometheus.NewRegistry(), zap.NewNop())
	if f.HasSynced(context.Background()) == nil || f.IsFresh(context.Background()) == nil {
		t.Error("synced before the first reading")
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = f.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	knows := func(id string) func() error {
		return func() error {
			if !f.IsRevoked(id) {
				return errors.New("not revoked")
			}
			return nil
		}
	}
	testkit.Eventually(t, "a session ended before the start", knows("before the start"))
	if err := errors.Join(f.HasSynced(context.Background()), f.IsFresh(context.Background())); err != nil {
		t.Error(err)
	}
	src.end("committed late", now.Add(-20*time.Second)) // its time is older than what was already read
	testkit.Eventually(t, "a session whose transaction committed late", knows("committed late"))
	src.mu.Lock()
	src.down = true
	src.mu.Unlock()
	f.Add("local")
	if !f.IsRevoked("local") || !f.IsRevoked("before the start") || f.IsRevoked("open") {
		t.Error("forgets or invents while the source is unavailable")
	}
}

// lateSource answers as it was when the question came, so that the answer is old when it arrives. One question may fail.
type lateSource struct {
	*fakeSource
	takes    time.Duration
	failNext atomic.Bool
}

func (s *lateSource) EndedSince(ctx context.Context, t time.Time) ([]string, time.Time, error) {
	now := time.Now()
	ids, _, err := s.fakeSource.EndedSince(ctx, t)
	if s.failNext.CompareAndSwap(true, false) {
		err = errors.New("failed once")
	}
	time.Sleep(s.takes)
	return ids, now, err
}

// TestEndedSessionIsRefusedWithinASecond ends sessions at every moment between two questions to the source. The time is a
// fake one, so it holds the promise on any machine.
func TestEndedSessionIsRefusedWithinASecond(t *testing.T) {
	pub, priv := newKey(t)
	for _, tc := range []struct {
		name  string
		takes time.Duration
		fails bool // the next question that is asked
	}{
		{"answered at once", 0, false},
		{"answered late", 200 * time.Millisecond, false},
		{"the next question fails", 0, true},
		{"the next question fails, and answers are late", 200 * time.Millisecond, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &lateSource{fakeSource: &fakeSource{ended: map[string]time.Time{}}, takes: tc.takes}
				f := auth.NewRevocationList(src, 15*time.Minute, prometheus.NewRegistry(), zap.NewNop())
				v, err := auth.NewVerifier("pgo", "pgo-api", auth.NewStaticKeys(map[string]ed25519.PublicKey{"k1": pub}), f, (&clock{epoch}).now)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() { _ = f.Run(ctx) })
				defer wg.Wait()
				defer cancel()
				for i := range 250 {
					session := fmt.Sprint(i)
					token := sign(t, jwt.SigningMethodEdDSA, "k1", claims(func(c *auth.Claims) { c.SessionID = session }), priv)
					time.Sleep(1001 * time.Millisecond) // a millisecond later between two questions than the time before
					synctest.Wait()
					if _, err := v.Verify(token); err != nil {
						t.Fatalf("session %d, before its end: %v", i, err)
					}
					src.end(session, time.Now())
					src.failNext.Store(tc.fails)
					time.Sleep(time.Second)
					synctest.Wait()
					if _, err := v.Verify(token); err == nil {
						t.Errorf("session %d is good a second after its end", i)
					}
				}
			})
		})
	}
}

func FuzzVerify(f *testing.F) {
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	v := newVerifier(f, auth.NewStaticKeys(map[string]ed25519.PublicKey{"k1": pub}), revoked{}, &clock{epoch})
	good := sign(f, jwt.SigningMethodEdDSA, "k1", claims(nil), priv)
	f.Add(good)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		_, err := v.Verify(token)
		if err == nil && token != good {
			t.Errorf("accepted %q", token)
		}
		if _, ok := errors.AsType[*problem.Error](err); err != nil && !ok {
			t.Errorf("got %v, want a problem", err)
		}
	})
}
