package main

import (
	"fmt"
	"testing"
)

func TestTheLastAdminStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	root := w.admin(t, s, "root@example.org")
	inactive := s.signUp("Inactive")
	s.want(request{Method: "PATCH", Path: "/api/v1/users/" + inactive.ID, Token: root.Access, Body: map[string]string{"role": "admin", "status": "disabled"}}, 200, "")
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
			s.in(t).want(r, 409, "last_admin")
			if me := s.in(t).want(request{Method: "GET", Path: "/api/v1/users/me", Token: root.Access}, 200, ""); me.JSON["version"] != 1.0 {
				t.Errorf("changed: %s", me.Body)
			}
		})
	}
	s.want(request{Method: "PATCH", Path: path, Token: root.Access, Body: map[string]string{"name": "Still here"}}, 200, "")
}

// TestTwoAdminsCannotRemoveEachOther lets the last two admins end their own or each other's role at once, on
// two instances: one of them stays, always.
func TestTwoAdminsCannotRemoveEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.start(t), w.start(t)
	db := w.DB.Open(t)
	root := w.admin(t, a, "root@example.org")
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
		a.want(request{Method: "PATCH", Path: "/api/v1/users/" + second.ID, Token: root.Access, Body: map[string]string{"role": "admin"}}, 200, "")
		second = b.signIn(second, password)
		mine, theirs := root.ID, second.ID
		if round%2 == 0 {
			mine, theirs = theirs, mine
		}
		first, other := ways[round%3](mine), ways[round/3%3](theirs)
		first.Token, other.Token = root.Access, second.Access
		answers := both(t, func() (response, error) { return a.Try(first) }, func() (response, error) { return b.Try(other) })
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
		root = w.remaining(t, a, root, second)
	}
	if wins != rounds {
		t.Errorf("%d changes in %d rounds", wins, rounds)
	}
}

// remaining signs in the one of two people who is still an admin.
func (w *world) remaining(t *testing.T, s *testClient, all ...person) person {
	t.Helper()
	for _, p := range all {
		res := s.do(request{Method: "POST", Path: "/api/v1/auth/login", Body: map[string]string{"email": p.Email, "password": password}})
		if res.Status != 200 {
			continue
		}
		p.Access = res.Text("access_token")
		if me := s.want(request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}, 200, ""); me.Text("role") == "admin" {
			return p
		}
	}
	t.Fatal("nobody is an admin")
	return person{}
}

// both calls two functions at the same time.
func both(t *testing.T, f, g func() (response, error)) [2]response {
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
