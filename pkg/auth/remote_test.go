package auth_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pgo/pkg/auth"
	"pgo/pkg/httpx"
	"pgo/pkg/problem"
	"pgo/pkg/testing/testkit"
)

// issuer serves a list of ended sessions as the service that ends them does, over a link that can be cut.
func issuer(t *testing.T, source auth.RevocationSource) *testkit.Link {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	// Its list is not run: it reads source at each request.
	list := auth.NewRevocationList(source, 15*time.Minute, prometheus.NewRegistry(), zap.NewNop())
	e.GET(auth.EndedSessionsPath, httpx.Handle(auth.ServeEndedSessions(list)))
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return testkit.NewLink(t, u.Host)
}

// client returns an HTTP client whose idle connections are closed when the test ends.
func client(t *testing.T) *http.Client {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func listAt(l *testkit.Link) string { return "http://" + l.Addr() + auth.EndedSessionsPath }

func TestRemoteSourceReturnsTheServedList(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	src := &fakeSource{now: now, ended: map[string]time.Time{"s1": now.Add(-time.Microsecond), "s2": now, "old": now.Add(-time.Hour)}}
	remote := auth.NewRemoteSource(listAt(issuer(t, src)), client(t))
	for _, tc := range []struct {
		name  string
		since time.Time
		want  []string
	}{
		{"all", now.Add(-2 * time.Hour), []string{"old", "s1", "s2"}},
		{"to the microsecond", now, []string{"s2"}},
		{"in another zone", now.In(time.FixedZone("x", 7*3600)), []string{"s2"}},
		{"none", now.Add(time.Hour), []string{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ids, at, err := remote.EndedSince(t.Context(), tc.since)
			slices.Sort(ids)
			if diff := cmp.Diff(tc.want, ids); diff != "" || !at.Equal(now) || err != nil {
				t.Errorf("at %v, %v (-want +got):\n%s", at, err, diff)
			}
		})
	}
	src.down = true
	if _, _, err := remote.EndedSince(t.Context(), now); err == nil {
		t.Error("a source that cannot be read looks like one without ended sessions")
	}
}

func TestServeEndedSessionsRejectsInvalidQueries(t *testing.T) {
	at := listAt(issuer(t, &fakeSource{}))
	for query, want := range map[string]int{
		"": 422, "?since=": 422, "?since=yesterday": 422, "?since=2026-01-02": 422, "?since=2026-01-02T03:04:05Z": 200, "?since=2026-01-02T03:04:05Z&x=1": 422,
		"?since=2026-01-02T03:04:05Z&after=nowhere": 200, "?since=2026-01-02T03:04:05Z&after=": 200, "?after=nowhere": 422,
		"?since=2026-01-02T03:04:05Z&since=2026-01-02T03:04:05Z": 422, "?since=%zz": 400,
	} {
		res, err := client(t).Get(at + query)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", query, res.StatusCode, want)
		}
	}
}

// TestEndedSessionIsRefusedByOtherServices follows over HTTP, while the issuer comes late and becomes unavailable.
func TestEndedSessionIsRefusedByOtherServices(t *testing.T) {
	pub, priv := newKey(t)
	src := &fakeSource{now: time.Now(), ended: map[string]time.Time{}}
	link := issuer(t, src)
	link.Cut()
	f := auth.NewRevocationList(auth.NewRemoteSource(listAt(link), client(t)), 15*time.Minute, prometheus.NewRegistry(), zap.NewNop())
	v, err := auth.NewVerifier("pgo", "pgo-api", auth.NewStaticKeys(map[string]ed25519.PublicKey{"k1": pub}), f, (&clock{epoch}).now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := f.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	token := func(session string) string {
		return sign(t, jwt.SigningMethodEdDSA, "k1", claims(func(c *auth.Claims) { c.SessionID = session }), priv)
	}
	first, second, third := token("first"), token("second"), token("third")
	if f.HasSynced(ctx) == nil {
		t.Error("synced with an issuer that was never there")
	}
	link.Restore()
	testkit.Eventually(t, "the issuer that came late", func() error { return f.HasSynced(ctx) })

	refused := func(name, token string) {
		t.Helper()
		testkit.Eventually(t, name, func() error {
			if _, err := v.Verify(token); err == nil {
				return errors.New("the token still works")
			}
			return nil
		})
	}
	accepted := func(name, token string) {
		t.Helper()
		if _, err := v.Verify(token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	accepted("before its end", first)
	src.end("first", time.Now())
	refused("ended", first)

	link.Cut()
	src.end("second", time.Now())
	testkit.Eventually(t, "the issuer's absence is noticed", func() error {
		if f.IsFresh(ctx) == nil {
			return errors.New("still fresh")
		}
		return nil
	})
	refused("ended before the issuer became unavailable", first)
	accepted("ended while the issuer is unavailable", second)
	accepted("not ended", third)
	link.Restore()
	refused("ended while the issuer was unavailable", second)
	accepted("not ended", third)
}

// oneAnswer serves the same to whatever is asked.
func oneAnswer(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// garbage answers, as something else that happens to listen there may give.
func garbage() map[string]http.HandlerFunc {
	text := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	return map[string]http.HandlerFunc{
		"empty":      text(200, ""),
		"a page":     text(200, "<html>Sign in</html>"),
		"null":       text(200, "null"),
		"an array":   text(200, "[]"),
		"an object":  text(200, "{}"),
		"a number":   text(200, "7"),
		"cut off":    text(200, `{"now":"2026-01-02T03:04:05Z","ids":["s1"`),
		"two values": text(200, `{"now":"2026-01-02T03:04:05Z","ids":[]}{}`),
		"an error":   text(500, `{"now":"2026-01-02T03:04:05Z","ids":[]}`),
		"not found":  text(404, ""),
		"no content": text(204, ""),
		"less than announced": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"now":"2026-01-02T03:04:05Z","ids":[]}`)
		},
		"in a circle": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"without end": func(w http.ResponseWriter, r *http.Request) {
			junk := []byte(`{"now":"2026-01-02T03:04:05Z","ids":["` + strings.Repeat(`s1","`, 10_000))
			for r.Context().Err() == nil {
				if _, err := w.Write(junk); err != nil {
					return
				}
			}
		},
		"a drop at a time": func(w http.ResponseWriter, r *http.Request) {
			for tick := time.NewTicker(50 * time.Millisecond); ; {
				_, _ = io.WriteString(w, " ")
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
					tick.Stop()
					return
				case <-tick.C:
				}
			}
		},
		"never": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	}
}

func TestRemoteSourceRejectsOtherAnswers(t *testing.T) {
	bad := garbage()
	for name, body := range map[string]string{
		"without now": `{"ids":["s1"]}`, "without ids": `{"now":"2026-01-02T03:04:05Z"}`, "null ids": `{"now":"2026-01-02T03:04:05Z","ids":null}`,
		"zero now": `{"now":"0001-01-01T00:00:00Z","ids":[]}`, "now in words": `{"now":"now","ids":[]}`, "ids in a text": `{"now":"2026-01-02T03:04:05Z","ids":"s1"}`,
		"a number among ids": `{"now":"2026-01-02T03:04:05Z","ids":[1]}`, "null among ids": `{"now":"2026-01-02T03:04:05Z","ids":[null]}`,
		"a long position": `{"now":"2026-01-02T03:04:05Z","ids":[],"position":"` + strings.Repeat("p", 65) + `"}`,
		"an empty id":     `{"now":"2026-01-02T03:04:05Z","ids":[""]}`, "a long id": `{"now":"2026-01-02T03:04:05Z","ids":["` + strings.Repeat("s", 65) + `"]}`,
	} {
		bad[name] = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
	}
	for name, answer := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			ids, _, err := auth.NewRemoteSource(oneAnswer(t, answer), client(t)).EndedSince(t.Context(), began)
			if err == nil || ids != nil {
				t.Errorf("taken for %v", ids)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			if err != nil && strings.Contains(err.Error(), "Sign in") {
				t.Errorf("the error quotes the answer: %v", err)
			}
		})
	}
	t.Run("not HTTP", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, "220 mail.example.org ESMTP\r\n")
				c.Close()
			}
		}()
		defer l.Close()
		if _, _, err := auth.NewRemoteSource("http://"+l.Addr().String(), client(t)).EndedSince(t.Context(), time.Now()); err == nil {
			t.Error("a mail server is taken for a list")
		}
	})
}

func FuzzRemoteSource(f *testing.F) {
	f.Add([]byte(`{"now":"2026-01-02T03:04:05Z","ids":["s1"]}`))
	f.Add([]byte(`{"now":"2026-01-02T03:04:05Z","ids":[]} x`))
	var body []byte
	c := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(string(body)))}, nil
	})}
	f.Fuzz(func(t *testing.T, answer []byte) {
		body = answer
		ids, now, err := auth.NewRemoteSource("http://user", c).EndedSince(t.Context(), epoch)
		if err == nil && (now.IsZero() || slices.Contains(ids, "")) {
			t.Errorf("%q is taken for %q at %v", answer, ids, now)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// keyServer serves a key set that a test changes.
type keyServer struct {
	fakeSource // for its lock
	body       string
	readings   int
}

func (s *keyServer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readings++
	_, _ = io.WriteString(w, s.body)
}

func (s *keyServer) serve(body string) (readingsBefore int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body = body
	return s.readings
}

func TestNewKeyIsAcceptedAtOnce(t *testing.T) {
	firstPub, firstPriv := newKey(t)
	secondPub, secondPriv := newKey(t)
	srv := &keyServer{body: jwks(t, map[string]ed25519.PublicKey{"k1": firstPub})}
	v := newVerifier(t, remoteKeys(t, oneAnswer(t, srv.ServeHTTP), zap.NewNop()), revoked{}, &clock{epoch})
	good := func(kid string, key ed25519.PrivateKey, session string) error {
		_, err := v.Verify(sign(t, jwt.SigningMethodEdDSA, kid, claims(func(c *auth.Claims) { c.SessionID = session }), key))
		return err
	}
	if err := good("k1", firstPriv, "1"); err != nil {
		t.Fatal(err)
	}
	srv.serve(jwks(t, map[string]ed25519.PublicKey{"k1": firstPub, "k2": secondPub}))
	testkit.Eventually(t, "a token of the new key", func() error { return good("k2", secondPriv, "2") })
	if err := good("k1", firstPriv, "3"); err != nil {
		t.Errorf("the old key verifies no more: %v", err)
	}
	before := srv.serve(jwks(t, map[string]ed25519.PublicKey{"k2": secondPub}))
	began := time.Now()
	for i := range 200 {
		if err := good(fmt.Sprintf("unknown%d", i), secondPriv, "4"); err == nil {
			t.Fatal("a key that is not served is accepted")
		}
	}
	if read, most := srv.serve("")-before, int(time.Since(began).Seconds())+1; read > most {
		t.Errorf("200 tokens of unknown keys caused %d readings, want %d at most", read, most)
	}
}

func TestInvalidKeySetKeepsTheOldKeys(t *testing.T) {
	pub, priv := newKey(t)
	good := jwks(t, map[string]ed25519.PublicKey{"k1": pub})
	bad := garbage()
	for name, body := range map[string]string{
		"no key": `{"keys":[]}`, "keys in a text": `{"keys":"k1"}`, "a key without id": strings.Replace(good, `"kid":"k1",`, "", 1),
		"a key of another kind": `{"keys":[{"kty":"oct","kid":"k1","k":"c2VjcmV0"}]}`, "a short key": `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"AAAA"}]}`,
	} {
		bad[name] = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
	}
	for name, answer := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			served := make(chan http.HandlerFunc, 1) // what is served now
			served <- answer
			core, logs := observer.New(zap.WarnLevel)
			at := oneAnswer(t, func(w http.ResponseWriter, r *http.Request) {
				h := <-served
				served <- h
				h(w, r)
			})
			v := newVerifier(t, remoteKeys(t, at, zap.New(core)), revoked{}, &clock{epoch})
			token := sign(t, jwt.SigningMethodEdDSA, "k1", claims(nil), priv)
			_, err := v.Verify(token)
			if p, ok := errors.AsType[*problem.Error](err); !ok || p.Kind != problem.KindUnavailable {
				t.Errorf("got %v, want 503", err)
			}
			if logs.Len() != 1 {
				t.Errorf("%d lines say why, want one", logs.Len())
			}
			<-served
			served <- func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, good) }
			testkit.Eventually(t, "the key set that came late", func() error { _, err := v.Verify(token); return err })
			<-served
			served <- answer
			for _, kid := range []string{"unknown", "k1"} { // the first of them causes a reading
				_, err = v.Verify(sign(t, jwt.SigningMethodEdDSA, kid, claims(func(c *auth.Claims) { c.SessionID = "other" }), priv))
				if (err == nil) != (kid == "k1") {
					t.Errorf("afterwards a token of %s is answered with %v", kid, err)
				}
			}
		})
	}
}

func TestNewRemoteKeysRejectsInvalidURLs(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:8081", "/keys", "ftp://x/keys", "http://", "http://%zz"} {
		if _, err := auth.NewRemoteKeys(t.Context(), bad, client(t), zap.NewNop()); err == nil {
			t.Errorf("%q is taken for a URL", bad)
		}
	}
}
