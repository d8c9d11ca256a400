package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pgo/pkg/auth"
	"pgo/pkg/testing/testkit"
	"pgo/services/user/openapi"
)

// place is an address at which an instance answers, or for a while none: what another service is configured with.
type place struct {
	url     string
	current atomic.Pointer[httputil.ReverseProxy]
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := p.current.Load(); to != nil {
			to.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *place) take(t *testing.T, s *testClient) {
	t.Helper()
	to, err := url.Parse(s.Base)
	if err != nil {
		t.Fatal(err)
	}
	p.current.Store(httputil.NewSingleHostReverseProxy(to))
}

// other is what another service of the suite does with access tokens.
type other struct {
	ended    *auth.RevocationList
	verifier *auth.Verifier
}

func newOther(t *testing.T, user string) other {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	verifier, ended, err := auth.NewRemoteVerifier(ctx, auth.Config{Issuer: "pgo", Audience: "pgo", IssuerURL: user}, prometheus.NewRegistry(), zap.NewNop())
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := ended.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return other{ended, verifier}
}

func (o other) takes(token string) error {
	_, err := o.verifier.Verify(token)
	return err
}

func (o other) mustTake(t *testing.T, what, token string) {
	t.Helper()
	if err := o.takes(token); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// refuses waits until the token is refused, which is long before it expires.
func (o other) refuses(t *testing.T, what, token string) {
	t.Helper()
	testkit.Eventually(t, what, func() error {
		if o.takes(token) == nil {
			return errors.New("the token is good")
		}
		return nil
	})
}

// TestOtherServicesTakeWhatUserSigns has another service begin before User is there, follow a change of its key, and go on
// while it is away.
func TestOtherServicesTakeWhatUserSigns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := newPlace(t)
	o := newOther(t, at.url)
	if o.ended.HasSynced(t.Context()) == nil {
		t.Error("synced without User")
	}
	first := w.start(t)
	p := first.signUp("Ada")
	if err := o.takes(p.Access); err == nil || !strings.Contains(err.Error(), "unavailable") {
		t.Errorf("without User a token is answered with %v", err)
	}
	at.take(t, first)
	testkit.Eventually(t, "User's keys", func() error { return o.takes(p.Access) })
	testkit.Eventually(t, "User's list", func() error { return o.ended.HasSynced(t.Context()) })

	before, err := os.ReadFile(w.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	rotated := filepath.Join(t.TempDir(), "keys.pem")
	if err := os.WriteFile(rotated, append([]byte(signingKey(t)), before...), 0o600); err != nil {
		t.Fatal(err)
	}
	second := w.start(t, "PGO_CFG_AUTH__SIGNING_KEY_FILE="+rotated)
	at.take(t, second)
	q := second.signUp("Bob")
	testkit.Eventually(t, "a token of the new key", func() error { return o.takes(q.Access) })
	o.mustTake(t, "a token of the old key", first.signIn(p, password).Access)

	logout := func(token string) {
		second.want(request{Method: "POST", Path: "/api/v1/auth/logout", Token: token}, 204, "")
	}
	again := second.signIn(q, password)
	o.mustTake(t, "a second session", again.Access)
	logout(q.Access)
	o.refuses(t, "logout", q.Access)
	o.mustTake(t, "the session that goes on", again.Access)
	w.RedisLink.Cut()
	logout(again.Access)
	o.refuses(t, "logout while Redis is away", again.Access)
	w.RedisLink.Restore()

	at.current.Store(nil)
	testkit.Eventually(t, "User's absence is noticed", func() error {
		if o.ended.IsFresh(t.Context()) == nil {
			return errors.New("still fresh")
		}
		return nil
	})
	o.mustTake(t, "while User is away", p.Access)
	if o.takes(q.Access) == nil || o.ended.HasSynced(t.Context()) != nil {
		t.Error("what was known is forgotten while User is away")
	}
	for _, s := range []*testClient{first, second} {
		if lines := s.Logs.LinesWith(auth.EndedSessionsPath); len(lines) > 0 {
			t.Errorf("the log has %d lines about what is asked four times a second", len(lines))
		}
	}
}

func TestTheListOfEndedSessionsIsNoPartOfTheAPI(t *testing.T) {
	if strings.Contains(string(openapi.JSON), "ended-sessions") {
		t.Error("it is in the specification")
	}
	t.Parallel()
	s := newWorld(t).start(t)
	list := auth.EndedSessionsPath + "?since=" + url.QueryEscape(time.Now().Add(-time.Minute).Format(time.RFC3339Nano))
	p := s.signUp("Ada")
	if ids := s.want(request{Method: "GET", Path: list}, 200, "").JSON["ids"].([]any); len(ids) != 0 {
		t.Errorf("before anything has ended: %v", ids)
	}
	session := s.session(p)
	s.want(request{Method: "POST", Path: "/api/v1/auth/logout", Token: p.Access}, 204, "")
	if ids := s.want(request{Method: "GET", Path: list}, 200, "").JSON["ids"].([]any); len(ids) != 1 || ids[0] != session {
		t.Errorf("after the end of %s: %v", session, ids)
	}
	s.want(request{Method: "GET", Path: "/api/v1" + list}, 404, "not_found")
	s.want(request{Method: "POST", Path: list}, 405, "method_not_allowed")
	s.want(request{Method: "GET", Path: auth.EndedSessionsPath}, 422, "validation_failed")
}
