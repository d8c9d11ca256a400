package main

import (
	"fmt"
	"testing"
)

func TestJourney(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	p := s.signUp("Ada")

	me := s.expect(request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}, 200, "")
	if me.Text("id") != p.ID || me.Text("role") != "user" || me.Text("status") != "active" || me.JSON["email_verified"] != false {
		t.Errorf("me is %s", me.Body)
	}

	refreshed := s.expect(request{Method: "POST", Path: "/api/v1/auth/refresh", Body: map[string]string{"refresh_token": p.Refresh}}, 200, "")
	if refreshed.Text("refresh_token") == p.Refresh {
		t.Error("refreshing gives the same refresh token")
	}
	second := s.signIn(p, password)
	sessions := s.expect(request{Method: "GET", Path: "/api/v1/auth/sessions", Token: second.Access}, 200, "")
	items := sessions.JSON["items"].([]any)
	if len(items) != 2 {
		t.Fatalf("%d sessions, want 2: %s", len(items), sessions.Body)
	}
	newest := items[0].(map[string]any)
	if newest["current"] != true || newest["ip"] != "127.0.0.1" || items[1].(map[string]any)["current"] != false {
		t.Errorf("sessions are %s", sessions.Body)
	}

	first := items[1].(map[string]any)["id"]
	s.expect(request{Method: "DELETE", Path: fmt.Sprint("/api/v1/auth/sessions/", first), Token: second.Access}, 204, "")
	s.awaitRejected("ending another session", refreshed.Text("access_token"))
	s.expect(request{Method: "DELETE", Path: fmt.Sprint("/api/v1/auth/sessions/", first), Token: second.Access}, 404, "not_found")

	s.expect(request{Method: "POST", Path: "/api/v1/auth/logout", Token: second.Access}, 204, "")
	s.awaitRejected("logout", second.Access)
	s.expect(request{Method: "POST", Path: "/api/v1/auth/refresh", Body: map[string]string{"refresh_token": second.Refresh}}, 401, "invalid_refresh_token")

	if code := s.Stop(); code != 0 {
		t.Errorf("a stop ends with %d", code)
	}
}
