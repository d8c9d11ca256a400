package main

import (
	"fmt"
	"testing"
)

func TestLastAdminCannotBeRemoved(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	root := env.createAdmin(t, s, "root@example.org")
	inactive := s.signUp("Inactive")
	s.expect(request{Method: "PATCH", Path: "/api/v1/users/" + inactive.ID, Token: root.Access, Body: map[string]string{"role": "admin", "status": "disabled"}}, 200, "")
	path := "/api/v1/users/" + root.ID
	for name, r := range map[string]request{
		"demoted":           {Method: "PATCH", Path: path, Body: map[string]string{"role": "user"}},
		"disabled":          {Method: "PATCH", Path: path, Body: map[string]string{"status": "disabled"}},
		"renamed, demoted":  {Method: "PATCH", Path: path, Body: map[string]string{"role": "user", "name": "Nobody"}},
		"deleted":           {Method: "DELETE", Path: path},
		"deleted by itself": {Method: "DELETE", Path: "/api/v1/users/me", Body: map[string]string{"password": password}},
	} {
		t.Run(name, func(t *testing.T) {
			r.Token = root.Access
			s.withT(t).expect(r, 409, "last_admin")
			if me := s.withT(t).expect(request{Method: "GET", Path: "/api/v1/users/me", Token: root.Access}, 200, ""); me.JSON["version"] != 1.0 {
				t.Errorf("changed: %s", me.Body)
			}
		})
	}
	s.expect(request{Method: "PATCH", Path: path, Token: root.Access, Body: map[string]string{"name": "Still here"}}, 200, "")
}

// TestConcurrentRemovalsKeepOneAdmin lets the last two admins end their own or each other's role concurrently,
// on two instances: one admin always stays.
func TestConcurrentRemovalsKeepOneAdmin(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	a, b := env.start(t), env.start(t)
	db := env.DB.Open(t)
	root := env.createAdmin(t, a, "root@example.org")
	ways := []func(id string) request{
		func(id string) request {
			return request{Method: "PATCH", Path: "/api/v1/users/" + id, Body: map[string]string{"role": "user"}}
		},
		func(id string) request {
			return request{Method: "PATCH", Path: "/api/v1/users/" + id, Body: map[string]string{"status": "disabled"}}
		},
		func(id string) request { return request{Method: "DELETE", Path: "/api/v1/users/" + id} },
	}
	const rounds = 12
	wins := 0
	for round := range rounds {
		second := a.signUp("Second")
		a.expect(request{Method: "PATCH", Path: "/api/v1/users/" + second.ID, Token: root.Access, Body: map[string]string{"role": "admin"}}, 200, "")
		second = b.signIn(second, password)
		mine, theirs := root.ID, second.ID
		if round%2 == 0 {
			mine, theirs = theirs, mine
		}
		first, other := ways[round%3](mine), ways[round/3%3](theirs)
		first.Token, other.Token = root.Access, second.Access
		answers := callBoth(t, func() (response, error) { return a.Try(first) }, func() (response, error) { return b.Try(other) })
		done := 0
		for _, res := range answers {
			switch {
			case res.Status < 300:
				done++
			case res.Code() != "last_admin" && res.Status != 401 && res.Status != 404:
				t.Errorf("round %d: %d %s", round, res.Status, res.Body)
			}
		}
		var admins int
		if err := db.QueryRow("SELECT COUNT(*) FROM users WHERE role = 'admin' AND status = 'active'").Scan(&admins); err != nil || admins != 1 || done != 1 {
			t.Fatalf("round %d: %d admins left, %d changes, %v; want 1 and 1", round, admins, done, err)
		}
		wins += done
		root = env.signInRemaining(t, a, root, second)
	}
	if wins != rounds {
		t.Errorf("%d changes in %d rounds", wins, rounds)
	}
}

// signInRemaining signs in the person who is still an admin.
func (env *testEnv) signInRemaining(t *testing.T, s *testClient, all ...person) person {
	t.Helper()
	for _, p := range all {
		res := s.send(request{Method: "POST", Path: "/api/v1/auth/login", Body: map[string]string{"email": p.Email, "password": password}})
		if res.Status != 200 {
			continue
		}
		p.Access = res.Text("access_token")
		if me := s.expect(request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}, 200, ""); me.Text("role") == "admin" {
			return p
		}
	}
	t.Fatal("no one is an admin")
	return person{}
}

// callBoth calls two functions concurrently.
func callBoth(t *testing.T, f, g func() (response, error)) [2]response {
	t.Helper()
	type result struct {
		res response
		err error
	}
	start, second := make(chan struct{}), make(chan result, 1)
	go func() {
		<-start
		res, err := g()
		second <- result{res, err}
	}()
	close(start)
	first, err := f()
	other := <-second
	if err != nil || other.err != nil {
		t.Fatal(fmt.Errorf("%w, %w", err, other.err))
	}
	return [2]response{first, other.res}
}
