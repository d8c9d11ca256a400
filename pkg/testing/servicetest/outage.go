package servicetest

import (
	"errors"
	"testing"

	"pgo/pkg/testing/testkit"
)

// ExpectUnavailable makes a call that needs an unavailable server: the answer is 503 unavailable with Retry-After.
func (s *Instance) ExpectUnavailable(t testing.TB, r Request) {
	t.Helper()
	res := s.Do(t, r)
	if res.Status != 503 || res.Code() != "unavailable" || res.Header.Get("Retry-After") == "" {
		t.Errorf("%s %s: got %d with Retry-After %q: %s", r.Method, r.Path, res.Status, res.Header.Get("Retry-After"), res.Body)
	}
	AssertProblem(t, r, res)
}

// AssertReconnects ends all connections to the database before each of the requests, several times over, as a restart of the
// server or its idle timeout does. A call that was about to use one may get 503, and soon one succeeds.
func (w *Env) AssertReconnects(t testing.TB, s *Instance, requests ...Request) {
	t.Helper()
	for range 5 {
		for _, r := range requests {
			w.KillConnections(t)
			testkit.Eventually(t, "a new connection", func() error {
				res := s.Do(t, r)
				if res.Status != 200 && res.Status != 503 {
					t.Errorf("%s %s: got %d %s", r.Method, r.Path, res.Status, res.Body)
				}
				if res.Status != 200 {
					return errors.New(res.Code())
				}
				return nil
			})
		}
	}
}
