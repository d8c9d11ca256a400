package main

import (
	"net/http"
	"testing"
)

func rotateRequest(token string) request {
	return request{Method: "POST", Path: "/api/v1/auth/refresh", Body: map[string]string{"refresh_token": token}}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s, other := env.start(t), env.start(t)
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

	t.Run("two clients at once get the same pair", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		for range 10 {
			p := s.signIn(p, password)
			answers := s.sendParallel(rotateRequest(p.Refresh), rotateRequest(p.Refresh), rotateRequest(p.Refresh))
			answers = append(answers, other.withT(t).sendParallel(rotateRequest(p.Refresh), rotateRequest(p.Refresh))...)
			for _, a := range answers {
				if a.Status != 200 || a.Text("refresh_token") != answers[0].Text("refresh_token") || a.Text("access_token") != answers[0].Text("access_token") {
					t.Fatalf("got %d %s, want the pair of the first answer: %s", a.Status, a.Body, answers[0].Body)
				}
			}
			s.expect(request{Method: "GET", Path: "/api/v1/users/me", Token: answers[0].Text("access_token")}, 200, "")
			s.expect(rotateRequest(answers[0].Text("refresh_token")), 200, "")
		}
	})

	for name, reuse := range map[string]func(s *testClient, p person) request{
		"after the grace period": func(s *testClient, p person) request {
			if _, err := db.Exec("UPDATE refresh_tokens t JOIN sessions s ON s.id = t.session_id SET t.spent_at = t.spent_at - INTERVAL 11 SECOND WHERE s.user_id = ?", p.ID); err != nil {
				s.t.Fatal(err)
			}
			return rotateRequest(p.Refresh)
		},
		"by another client": func(_ *testClient, p person) request {
			r := rotateRequest(p.Refresh)
			r.Header = http.Header{"User-Agent": {"another client"}}
			return r
		},
		"spent by the release before": func(s *testClient, p person) request {
			if _, err := db.Exec("UPDATE refresh_tokens t JOIN sessions s ON s.id = t.session_id SET t.successor_salt = NULL, t.spent_by = NULL WHERE s.user_id = ?", p.ID); err != nil {
				s.t.Fatal(err)
			}
			return rotateRequest(p.Refresh)
		},
	} {
		t.Run("reuse "+name+" ends the session", func(t *testing.T) {
			s := s.withT(t)
			first := s.signUp("Ada")
			second := next(s, first)
			next(s, first) // repeated in time
			s.expect(reuse(s, first), 401, "invalid_refresh_token")
			s.expect(rotateRequest(second.Refresh), 401, "invalid_refresh_token")
			s.awaitRejected("reuse of a spent token", second.Access)
		})
	}

	t.Run("a repeated refresh of an ended session", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		last := next(s, p)
		s.expect(request{Method: "POST", Path: "/api/v1/auth/logout", Token: last.Access}, 204, "")
		s.expect(rotateRequest(p.Refresh), 401, "invalid_refresh_token")
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

// TestRefreshWithoutGrace checks that the grace period can be turned off.
func TestRefreshWithoutGrace(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t, "PGO_CFG_AUTH__REFRESH_GRACE=0s")
	p := s.signUp("Ada")
	s.expect(rotateRequest(p.Refresh), 200, "")
	s.expect(rotateRequest(p.Refresh), 401, "invalid_refresh_token")
	s.awaitRejected("use of a spent token", p.Access)
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
