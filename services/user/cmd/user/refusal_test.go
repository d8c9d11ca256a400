package main

import (
	"testing"
)

// TestRefusedCallsTakeNoLock holds the locks of all rows, as a change that hangs would, and makes calls that are refused: each is
// answered all the same.
func TestRefusedCallsTakeNoLock(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	admin := env.createAdmin(t, s, "root@example.org")
	p, other, disabled := s.signUp("Ada"), s.signUp("Bob"), s.signUp("Cy")
	s.expect(request{Method: "PATCH", Path: "/api/v1/users/" + disabled.ID, Token: admin.Access, Body: map[string]string{"status": "disabled"}}, 200, "")
	type refusal struct {
		name    string
		request request
		status  int
		code    string
	}
	login := func(p person, pw string) request {
		return request{Method: "POST", Path: "/api/v1/auth/login", Body: map[string]string{"email": p.Email, "password": pw}}
	}
	all := []refusal{
		{"sign-in with a wrong password", login(p, "a wrong password"), 401, "invalid_credentials"},
		{"sign-in to an unknown account", login(person{Email: "no-one@example.org"}, password), 401, "invalid_credentials"},
		{"sign-in to a disabled account", login(disabled, password), 403, "user_disabled"},
		{"a new password with a wrong one", request{Method: "PUT", Path: "/api/v1/users/me/password", Token: p.Access, Body: map[string]string{"current_password": "a wrong password", "new_password": "another good password"}}, 401, "invalid_credentials"},
		{"deletion with a wrong password", request{Method: "DELETE", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"password": "a wrong password"}}, 401, "invalid_credentials"},
		{"an unknown refresh token", request{Method: "POST", Path: "/api/v1/auth/refresh", Body: map[string]string{"refresh_token": "x"}}, 401, "invalid_refresh_token"},
	}
	c := participants{env: env, s: s, admin: admin, p: p, other: other}
	for _, k := range calls() {
		if k.method == "GET" || k.who == anyone {
			continue
		}
		r := request{Method: k.method, Path: k.path(t, c)}
		if k.body != nil {
			r.Body = k.body(t, c)
		}
		all = append(all, refusal{k.name + " by no one", r, 401, "unauthenticated"})
		if k.who == adminOnly {
			r.Token = p.Access
			all = append(all, refusal{k.name + " by a user", r, 403, "forbidden"})
		}
	}
	tx, err := s.DB.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, table := range []string{"users", "sessions", "refresh_tokens"} {
		var n int
		if err := tx.QueryRow("SELECT COUNT(*) FROM " + table + " FOR UPDATE").Scan(&n); err != nil || n == 0 {
			t.Fatalf("%d rows of %s are locked, %v", n, table, err)
		}
	}
	for _, r := range all {
		t.Run(r.name, func(t *testing.T) { s.withT(t).expect(r.request, r.status, r.code) })
	}
}
