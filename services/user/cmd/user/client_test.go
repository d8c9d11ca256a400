package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgo/pkg/testing/servicetest"
	"pgo/pkg/testing/testkit"
)

type (
	request  = servicetest.Request
	response = servicetest.Response
)

// testClient is a running instance together with the test that it fails.
type testClient struct {
	t testing.TB
	*servicetest.Instance
}

func (env *testEnv) start(t *testing.T, environ ...string) *testClient {
	t.Helper()
	return &testClient{t, env.Start(t, environ...)}
}

// withT returns the service with the test that it fails.
func (s *testClient) withT(t testing.TB) *testClient { return &testClient{t, s.Instance} }

func (s *testClient) send(r request) response {
	s.t.Helper()
	return s.Do(s.t, r)
}

// expect sends a request and fails the test unless the response has the status and, for an error, the code.
func (s *testClient) expect(r request, status int, code string) response {
	s.t.Helper()
	return s.Expect(s.t, r, status, code)
}

// sendParallel sends the requests concurrently and returns the responses in their order.
func (s *testClient) sendParallel(requests ...request) []response {
	s.t.Helper()
	return s.Parallel(s.t, requests...)
}

// awaitReadiness waits until /readyz returns the status, with the dependency among the unavailable ones.
func (s *testClient) awaitReadiness(status int, missing string) {
	s.t.Helper()
	s.AwaitReadiness(s.t, status, missing)
}

const password = "correct horse battery staple"

// cheapHash is the password's hash with the smallest parameters. A real one costs ten times more under the race
// detector than otherwise, and these tests sign in hundreds of times.
const cheapHash = "$argon2id$v=19$m=8,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$XdTJKPvVpEdCNu922dgwQXj+XfOITS04PpG3cDMn5sE"

// person is a user who has signed up.
type person struct {
	ID, Email, Access, Refresh string
}

// signUp registers a user and signs in, after replacing the password hash with a cheap one.
func (s *testClient) signUp(name string) person {
	s.t.Helper()
	p := person{Email: fmt.Sprintf("%s-%s@example.org", strings.ToLower(name), strings.ToLower(rand.Text()[:8]))}
	p.ID = s.expect(request{Method: "POST", Path: "/api/v1/auth/register", Body: map[string]string{"email": p.Email, "password": password, "name": name}}, 201, "").Text("id")
	if _, err := s.DB.Exec("UPDATE users SET password_hash = ? WHERE id = ?", cheapHash, p.ID); err != nil {
		s.t.Fatal(err)
	}
	return s.signIn(p, password)
}

func (s *testClient) signIn(p person, pw string) person {
	s.t.Helper()
	res := s.expect(request{Method: "POST", Path: "/api/v1/auth/login", Body: map[string]string{"email": p.Email, "password": pw}}, 200, "")
	p.Access, p.Refresh = res.Text("access_token"), res.Text("refresh_token")
	return p
}

// createAdmin creates an admin on the command line and signs in.
func (env *testEnv) createAdmin(t testing.TB, s *testClient, email string) person {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"admin", "create", "--email", email, "--password-file", file}, env.Environ, &out, &out); code != 0 {
		t.Fatalf("admin create ends with %d: %s", code, &out)
	}
	p := s.signIn(person{Email: email}, password)
	p.ID = s.expect(request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}, 200, "").Text("id")
	return p
}

// awaitRejected waits until the token is rejected, long before it expires.
func (s *testClient) awaitRejected(what, token string) {
	s.t.Helper()
	testkit.Eventually(s.t, what, func() error {
		res := s.send(request{Method: "GET", Path: "/api/v1/users/me", Token: token})
		if res.Status != http.StatusUnauthorized {
			return fmt.Errorf("the token is still accepted: %d", res.Status)
		}
		return nil
	})
}
