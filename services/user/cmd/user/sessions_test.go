package main

import (
	"testing"

	"pgo/pkg/testing/servicetest"
)

// TestEndedSessionsAreRejectedByAllInstances ends sessions in every way on one instance and checks their tokens on two.
func TestEndedSessionsAreRejectedByAllInstances(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	a, b := env.start(t), env.start(t)
	admin := env.createAdmin(t, a, "root@example.org")
	const stays, ends = false, true
	cases := []struct {
		name                  string
		act                   func(s *testClient, first, second person) // with the first of two sessions of one person
		firstEnds, secondEnds bool                                      // whether the sessions end
	}{
		{"logout", func(s *testClient, first, _ person) {
			s.expect(request{Method: "POST", Path: "/api/v1/auth/logout", Token: first.Access}, 204, "")
		}, ends, stays},
		{"ending the other session", func(s *testClient, first, second person) {
			s.expect(request{Method: "DELETE", Path: "/api/v1/auth/sessions/" + s.currentSession(second), Token: first.Access}, 204, "")
		}, stays, ends},
		{"ending one's own session", func(s *testClient, first, _ person) {
			s.expect(request{Method: "DELETE", Path: "/api/v1/auth/sessions/" + s.currentSession(first), Token: first.Access}, 204, "")
		}, ends, stays},
		{"change of password", func(s *testClient, first, _ person) {
			s.expect(request{Method: "PUT", Path: "/api/v1/users/me/password", Token: first.Access, Body: map[string]string{"current_password": password, "new_password": "another good password"}}, 204, "")
		}, stays, ends},
		{"reset of the password", func(s *testClient, first, _ person) {
			s.expect(request{Method: "POST", Path: "/api/v1/auth/password/forgot", Body: map[string]string{"email": first.Email}}, 202, "")
			token := env.awaitMailToken(s.t, first.Email, "Reset", 1)
			s.expect(request{Method: "POST", Path: "/api/v1/auth/password/reset", Body: map[string]string{"token": token, "password": "another good password"}}, 204, "")
		}, ends, ends},
		{"being disabled", func(s *testClient, first, _ person) {
			s.expect(request{Method: "PATCH", Path: "/api/v1/users/" + first.ID, Token: admin.Access, Body: map[string]string{"status": "disabled"}}, 200, "")
		}, ends, ends},
		{"change of role", func(s *testClient, first, _ person) {
			s.expect(request{Method: "PATCH", Path: "/api/v1/users/" + first.ID, Token: admin.Access, Body: map[string]string{"role": "admin"}}, 200, "")
		}, ends, ends},
		{"deletion by oneself", func(s *testClient, first, _ person) {
			s.expect(request{Method: "DELETE", Path: "/api/v1/users/me", Token: first.Access, Body: map[string]string{"password": password}}, 204, "")
		}, ends, ends},
		{"deletion by an admin", func(s *testClient, first, _ person) {
			s.expect(request{Method: "DELETE", Path: "/api/v1/users/" + first.ID, Token: admin.Access}, 204, "")
		}, ends, ends},
	}
	for _, redis := range []string{"up", "down"} {
		if redis == "down" {
			env.RedisLink.Cut()
			defer env.RedisLink.Restore()
		}
		t.Run("Redis "+redis, func(t *testing.T) {
			for _, tc := range cases {
				t.Run(tc.name, func(t *testing.T) {
					t.Parallel()
					a, b := a.withT(t), b.withT(t)
					first := a.signUp("Ada")
					second := b.signIn(first, password)
					for _, s := range []*testClient{a, b} {
						for _, p := range []person{first, second} {
							s.expect(request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}, 200, "")
						}
					}
					tc.act(a, first, second)
					for who, ended := range map[person]bool{first: tc.firstEnds, second: tc.secondEnds} {
						for _, s := range []*testClient{a, b} {
							if ended {
								s.awaitRejected(tc.name, who.Access)
							}
						}
					}
					for who, ended := range map[person]bool{first: tc.firstEnds, second: tc.secondEnds} {
						refresh := request{Method: "POST", Path: "/api/v1/auth/refresh", Body: map[string]string{"refresh_token": who.Refresh}}
						if ended {
							b.expect(refresh, 401, "invalid_refresh_token")
							continue
						}
						for _, s := range []*testClient{a, b} {
							s.expect(request{Method: "GET", Path: "/api/v1/users/me", Token: who.Access}, 200, "")
						}
						b.expect(refresh, 200, "")
					}
				})
			}
		})
	}
}

// TestNewInstanceRejectsTokensOfEndedSessions starts an instance after a logout: the token must not live on there.
func TestNewInstanceRejectsTokensOfEndedSessions(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	a := env.start(t)
	p := a.signUp("Ada")
	a.expect(request{Method: "POST", Path: "/api/v1/auth/logout", Token: p.Access}, 204, "")
	env.start(t).expect(request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}, 401, "unauthenticated")
}

func TestConcurrentLogouts(t *testing.T) {
	t.Parallel()
	s := newTestEnv(t).start(t)
	p := s.signUp("Ada")
	logout := request{Method: "POST", Path: "/api/v1/auth/logout", Token: p.Access}
	for status := range servicetest.CountStatuses(s.sendParallel(logout, logout, logout, logout)) {
		if status != 204 && status != 401 {
			t.Errorf("a logout beside another gets %d", status)
		}
	}
}

func TestDisabledAndDeletedUsersCannotSignIn(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	admin := env.createAdmin(t, s, "root@example.org")
	p := s.signUp("Ada")
	login := func(pw string) request {
		return request{Method: "POST", Path: "/api/v1/auth/login", Body: map[string]string{"email": p.Email, "password": pw}}
	}
	user := request{Method: "PATCH", Path: "/api/v1/users/" + p.ID, Token: admin.Access}
	s.expect(user.With(func(r *request) { r.Body = map[string]string{"status": "disabled"} }), 200, "")
	s.expect(login(password), 403, "user_disabled")
	s.expect(login("a wrong password"), 401, "invalid_credentials")
	s.expect(user.With(func(r *request) { r.Body = map[string]string{"status": "active"} }), 200, "")
	s.expect(login(password), 200, "")
	s.expect(user.With(func(r *request) { r.Method = "DELETE" }), 204, "")
	s.expect(login(password), 401, "invalid_credentials")
	s.expect(request{Method: "POST", Path: "/api/v1/auth/register", Body: map[string]string{"email": p.Email, "password": password, "name": "Ada again"}}, 201, "")
}
