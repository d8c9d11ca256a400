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

// switchableProxy is an address that forwards to one instance, or to none for a while. Other services are configured with it.
type switchableProxy struct {
	url     string
	current atomic.Pointer[httputil.ReverseProxy]
}

func newSwitchableProxy(t *testing.T) *switchableProxy {
	t.Helper()
	p := &switchableProxy{}
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

func (p *switchableProxy) forwardTo(t *testing.T, s *testClient) {
	t.Helper()
	to, err := url.Parse(s.Base)
	if err != nil {
		t.Fatal(err)
	}
	p.current.Store(httputil.NewSingleHostReverseProxy(to))
}

// otherService verifies access tokens as the other services of the suite do.
type otherService struct {
	ended    *auth.RevocationList
	verifier *auth.Verifier
}

func newOtherService(t *testing.T, user string) otherService {
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
	return otherService{ended, verifier}
}

func (o otherService) verify(token string) error {
	_, err := o.verifier.Verify(token)
	return err
}

func (o otherService) expectVerified(t *testing.T, what, token string) {
	t.Helper()
	if err := o.verify(token); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// awaitRejected waits until the token is rejected, long before it expires.
func (o otherService) awaitRejected(t *testing.T, what, token string) {
	t.Helper()
	testkit.Eventually(t, what, func() error {
		if o.verify(token) == nil {
			return errors.New("the token is good")
		}
		return nil
	})
}

// TestOtherServicesVerifyTokens starts another service before User runs, changes User's key, and stops User: the other service
// follows the keys and keeps verifying tokens.
func TestOtherServicesVerifyTokens(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	at := newSwitchableProxy(t)
	o := newOtherService(t, at.url)
	if o.ended.HasSynced(t.Context()) == nil {
		t.Error("synced without User")
	}
	first := env.start(t)
	p := first.signUp("Ada")
	if err := o.verify(p.Access); err == nil || !strings.Contains(err.Error(), "unavailable") {
		t.Errorf("a token without User: got %v", err)
	}
	at.forwardTo(t, first)
	testkit.Eventually(t, "User's keys", func() error { return o.verify(p.Access) })
	testkit.Eventually(t, "User's list", func() error { return o.ended.HasSynced(t.Context()) })

	before, err := os.ReadFile(env.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	rotated := filepath.Join(t.TempDir(), "keys.pem")
	if err := os.WriteFile(rotated, append([]byte(signingKey(t)), before...), 0o600); err != nil {
		t.Fatal(err)
	}
	second := env.start(t, "PGO_CFG_AUTH__SIGNING_KEY_FILE="+rotated)
	at.forwardTo(t, second)
	q := second.signUp("Bob")
	testkit.Eventually(t, "a token of the new key", func() error { return o.verify(q.Access) })
	o.expectVerified(t, "a token of the old key", first.signIn(p, password).Access)

	logout := func(token string) {
		second.expect(request{Method: "POST", Path: "/api/v1/auth/logout", Token: token}, 204, "")
	}
	again := second.signIn(q, password)
	o.expectVerified(t, "a second session", again.Access)
	logout(q.Access)
	o.awaitRejected(t, "logout", q.Access)
	o.expectVerified(t, "the session that stays open", again.Access)
	env.RedisLink.Cut()
	logout(again.Access)
	o.awaitRejected(t, "logout while Redis is unavailable", again.Access)
	env.RedisLink.Restore()

	at.current.Store(nil)
	testkit.Eventually(t, "User's outage is detected", func() error {
		if o.ended.IsFresh(t.Context()) == nil {
			return errors.New("still fresh")
		}
		return nil
	})
	o.expectVerified(t, "while User is unavailable", p.Access)
	if o.verify(q.Access) == nil || o.ended.HasSynced(t.Context()) != nil {
		t.Error("ended sessions are forgotten while User is unavailable")
	}
	for _, s := range []*testClient{first, second} {
		if lines := s.Logs.LinesWith(auth.EndedSessionsPath); len(lines) > 0 {
			t.Errorf("the log has %d lines about a request that is sent four times a second", len(lines))
		}
	}
}

func TestEndedSessionsListIsNotPublicAPI(t *testing.T) {
	if strings.Contains(string(openapi.JSON), "ended-sessions") {
		t.Error("it is in the specification")
	}
	t.Parallel()
	s := newTestEnv(t).start(t)
	list := auth.EndedSessionsPath + "?since=" + url.QueryEscape(time.Now().Add(-time.Minute).Format(time.RFC3339Nano))
	p := s.signUp("Ada")
	if ids := s.expect(request{Method: "GET", Path: list}, 200, "").JSON["ids"].([]any); len(ids) != 0 {
		t.Errorf("before anything has ended: %v", ids)
	}
	session := s.currentSession(p)
	s.expect(request{Method: "POST", Path: "/api/v1/auth/logout", Token: p.Access}, 204, "")
	if ids := s.expect(request{Method: "GET", Path: list}, 200, "").JSON["ids"].([]any); len(ids) != 1 || ids[0] != session {
		t.Errorf("after the end of %s: %v", session, ids)
	}
	s.expect(request{Method: "GET", Path: "/api/v1" + list}, 404, "not_found")
	s.expect(request{Method: "POST", Path: list}, 405, "method_not_allowed")
	s.expect(request{Method: "GET", Path: auth.EndedSessionsPath}, 422, "validation_failed")
}
