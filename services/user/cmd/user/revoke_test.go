package main

import (
	"testing"

	"pgo/pkg/testing/servicetest"
)

// TestTokensDieEverywhere ends sessions in every way on one instance and looks at their tokens on two.
func TestTokensDieEverywhere(t *testing.T) {
	w := newWorld(t)
	a, b := w.start(t), w.start(t)
	admin := w.admin(t, a, "root@example.org")
	const lives, dies = false, true
	for _, tc := range []struct {
		name           string
		act            func(s *testClient, mine, other person) // by the first of two sessions of one person
		mine, theOther bool                                    // which of the two dies
	}{
		{"logout", func(s *testClient, mine, _ person) {
			s.want(request{Method: "POST", Path: "/api/v1/auth/logout", Token: mine.Access}, 204, "")
		}, dies, lives},
		{"ending the other session", func(s *testClient, mine, other person) {
			s.want(request{Method: "DELETE", Path: "/api/v1/auth/sessions/" + s.session(other), Token: mine.Access}, 204, "")
		}, lives, dies},
		{"ending one's own session", func(s *testClient, mine, _ person) {
			s.want(request{Method: "DELETE", Path: "/api/v1/auth/sessions/" + s.session(mine), Token: mine.Access}, 204, "")
		}, dies, lives},
		{"change of password", func(s *testClient, mine, _ person) {
			s.want(request{Method: "PUT", Path: "/api/v1/users/me/password", Token: mine.Access, Body: map[string]string{"current_password": password, "new_password": "another good password"}}, 204, "")
		}, lives, dies},
		{"reset of the password", func(s *testClient, mine, _ person) {
			s.want(request{Method: "POST", Path: "/api/v1/auth/password/forgot", Body: map[string]string{"email": mine.Email}}, 202, "")
			token := w.mailToken(s.t, mine.Email, "Reset", 1)
			s.want(request{Method: "POST", Path: "/api/v1/auth/password/reset", Body: map[string]string{"token": token, "password": "another good password"}}, 204, "")
		}, dies, dies},
		{"being disabled", func(s *testClient, mine, _ person) {
			s.want(request{Method: "PATCH", Path: "/api/v1/users/" + mine.ID, Token: admin.Access, Body: map[string]string{"status": "disabled"}}, 200, "")
		}, dies, dies},
		{"change of role", func(s *testClient, mine, _ person) {
			s.want(request{Method: "PATCH", Path: "/api/v1/users/" + mine.ID, Token: admin.Access, Body: map[string]string{"role": "admin"}}, 200, "")
		}, dies, dies},
		{"deletion by oneself", func(s *testClient, mine, _ person) {
			s.want(request{Method: "DELETE", Path: "/api/v1/users/me", Token: mine.Access, Body: map[string]string{"password": password}}, 204, "")
		}, dies, dies},
		{"deletion by an admin", func(s *testClient, mine, _ person) {
			s.want(request{Method: "DELETE", Path: "/api/v1/users/" + mine.ID, Token: admin.Access}, 204, "")
		}, dies, dies},
	} {
		for _, redis := range []string{"up", "down"} {
			t.Run(tc.name+" with Redis "+redis, func(t *testing.T) {
				a, b := a.in(t), b.in(t)
				if redis == "down" {
					w.RedisLink.Cut()
					defer w.RedisLink.Restore()
				}
				mine := a.signUp("Ada")
				other := b.signIn(mine, password)
				for _, s := range []*testClient{a, b} {
					for _, p := range []person{mine, other} {
						s.want(request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}, 200, "")
					}
				}
				tc.act(a, mine, other)
				for who, dead := range map[person]bool{mine: tc.mine, other: tc.theOther} {
					for _, s := range []*testClient{a, b} {
						if dead {
							s.dies(tc.name, who.Access)
						}
					}
				}
				for who, dead := range map[person]bool{mine: tc.mine, other: tc.theOther} {
					refresh := request{Method: "POST", Path: "/api/v1/auth/refresh", Body: map[string]string{"refresh_token": who.Refresh}}
					if dead {
						b.want(refresh, 401, "invalid_refresh_token")
						continue
					}
					for _, s := range []*testClient{a, b} {
						s.want(request{Method: "GET", Path: "/api/v1/users/me", Token: who.Access}, 200, "")
					}
					b.want(refresh, 200, "")
				}
			})
		}
	}
}

// TestAFreshInstanceKnowsWhatEndedBefore starts an instance after a logout: the token must not live on there.
func TestAFreshInstanceKnowsWhatEndedBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	p := a.signUp("Ada")
	a.want(request{Method: "POST", Path: "/api/v1/auth/logout", Token: p.Access}, 204, "")
	w.start(t).want(request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}, 401, "unauthenticated")
}

func TestLogoutTwiceAtOnce(t *testing.T) {
	t.Parallel()
	s := newWorld(t).start(t)
	p := s.signUp("Ada")
	logout := request{Method: "POST", Path: "/api/v1/auth/logout", Token: p.Access}
	for status := range servicetest.CountStatuses(s.together(logout, logout, logout, logout)) {
		if status != 204 && status != 401 {
			t.Errorf("a logout beside another gets %d", status)
		}
	}
}

func TestDisabledAndDeletedPeopleCannotSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	admin := w.admin(t, s, "root@example.org")
	p := s.signUp("Ada")
	login := func(pw string) request {
		return request{Method: "POST", Path: "/api/v1/auth/login", Body: map[string]string{"email": p.Email, "password": pw}}
	}
	user := request{Method: "PATCH", Path: "/api/v1/users/" + p.ID, Token: admin.Access}
	s.want(user.With(func(r *request) { r.Body = map[string]string{"status": "disabled"} }), 200, "")
	s.want(login(password), 403, "user_disabled")
	s.want(login("a wrong password"), 401, "invalid_credentials")
	s.want(user.With(func(r *request) { r.Body = map[string]string{"status": "active"} }), 200, "")
	s.want(login(password), 200, "")
	s.want(user.With(func(r *request) { r.Method = "DELETE" }), 204, "")
	s.want(login(password), 401, "invalid_credentials")
	s.want(request{Method: "POST", Path: "/api/v1/auth/register", Body: map[string]string{"email": p.Email, "password": password, "name": "Ada again"}}, 201, "")
}
