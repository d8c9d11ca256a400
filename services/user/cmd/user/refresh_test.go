package main

import (
	"testing"

	"pgo/pkg/testing/servicetest"
)

func rotateRequest(token string) request {
	return request{Method: "POST", Path: "/api/v1/auth/refresh", Body: map[string]string{"refresh_token": token}}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	db := env.DB.Open(t)
	next := func(s *testClient, p person) person {
		res := s.expect(rotateRequest(p.Refresh), 200, "")
		p.Access, p.Refresh = res.Text("access_token"), res.Text("refresh_token")
		return p
	}

	t.Run("rotation", func(t *testing.T) {
		s := s.withT(t)
		first := s.signUp("Ada")
		second := next(s, first)
		third := next(s, second)
		if first.Refresh == second.Refresh || second.Refresh == third.Refresh {
			t.Error("a refresh token is given twice")
		}
		for _, p := range []person{first, second, third} { // all of one session, none expired
			s.expect(request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}, 200, "")
		}
		if a, b := s.currentSession(first), s.currentSession(third); a != b {
			t.Errorf("the session changes from %s to %s", a, b)
		}
	})

	t.Run("spent token ends only its session", func(t *testing.T) {
		s := s.withT(t)
		first := s.signUp("Ada")
		elsewhere := s.signIn(first, password)
		last := next(s, next(s, first))
		s.expect(rotateRequest(first.Refresh), 401, "invalid_refresh_token")
		s.awaitRejected("use of a spent token", first.Access)
		s.awaitRejected("use of a spent token", last.Access)
		s.expect(rotateRequest(last.Refresh), 401, "invalid_refresh_token")
		s.expect(request{Method: "GET", Path: "/api/v1/users/me", Token: elsewhere.Access}, 200, "")
		next(s, elsewhere)
	})

	t.Run("one of several concurrent refreshes succeeds", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		for range 10 {
			p := s.signIn(p, password)
			answers := s.sendParallel(rotateRequest(p.Refresh), rotateRequest(p.Refresh), rotateRequest(p.Refresh))
			if got := servicetest.CountStatuses(answers); got[200] > 1 || got[200]+got[401] != 3 {
				t.Fatalf("statuses are %v", got)
			}
			for _, a := range answers { // the others used a spent token, which ended the session
				if a.Status == 200 {
					s.expect(rotateRequest(a.Text("refresh_token")), 401, "invalid_refresh_token")
				}
			}
			s.awaitRejected("use of a spent token", p.Access)
		}
	})

	for name, age := range map[string]string{
		"expired session": "UPDATE sessions SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE user_id = ?",
		"ended session":   "UPDATE sessions SET ended_at = UTC_TIMESTAMP(6) - INTERVAL 1 HOUR WHERE user_id = ?",
		"deleted user":    "DELETE FROM users WHERE id = ?",
	} {
		t.Run(name, func(t *testing.T) {
			s := s.withT(t)
			p := s.signUp("Ada")
			if _, err := db.Exec(age, p.ID); err != nil {
				t.Fatal(err)
			}
			s.expect(rotateRequest(p.Refresh), 401, "invalid_refresh_token")
		})
	}
}

func TestRefreshExtendsSession(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	p := s.signUp("Ada")
	db := env.DB.Open(t)
	if _, err := db.Exec("UPDATE sessions SET expires_at = UTC_TIMESTAMP(6) + INTERVAL 1 DAY"); err != nil {
		t.Fatal(err)
	}
	s.expect(rotateRequest(p.Refresh), 200, "")
	var days float64
	if err := db.QueryRow("SELECT TIMESTAMPDIFF(HOUR, UTC_TIMESTAMP(6), expires_at) / 24 FROM sessions").Scan(&days); err != nil || days < 29 {
		t.Errorf("the session expires in %v days, %v; want 30", days, err)
	}
}
