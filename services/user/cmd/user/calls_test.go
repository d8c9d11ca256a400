package main

import (
	"fmt"
	"strings"
	"testing"
)

// Callers of a call.
const (
	anyone = iota
	signedIn
	adminOnly
)

// participants holds new people for a call, so that calls do not affect each other.
type participants struct {
	env   *testEnv
	s     *testClient
	admin person
	p     person // the caller, unless it is the admin
	other person // another user
}

// call describes a call of the API and the conditions under which it succeeds.
type call struct {
	name, method string
	who          int
	path         func(t testing.TB, c participants) string
	body         func(t testing.TB, c participants) map[string]string // nil: takes none
	wrong        map[string]int                                       // the status for an invalid value of the right type by field, 422 if missing
	optional     bool                                                 // fields may be missing
	list         bool                                                 // takes limit and cursor
	filters      []string                                             // other parameters
	ok           int
}

func pathOf(path string) func(testing.TB, participants) string {
	return func(testing.TB, participants) string { return path }
}

// calls returns the calls of the User API.
func calls() []call {
	otherUser := func(_ testing.TB, c participants) string { return "/api/v1/users/" + c.other.ID }
	return []call{
		{name: "register", method: "POST", path: pathOf("/api/v1/auth/register"), ok: 201, body: func(_ testing.TB, c participants) map[string]string {
			return map[string]string{"email": "new-" + c.p.Email, "password": password, "name": "New"}
		}},
		{name: "login", method: "POST", path: pathOf("/api/v1/auth/login"), ok: 200, wrong: map[string]int{"email": 401, "password": 401}, body: func(_ testing.TB, c participants) map[string]string {
			return map[string]string{"email": c.p.Email, "password": password}
		}},
		{name: "refresh", method: "POST", path: pathOf("/api/v1/auth/refresh"), ok: 200, wrong: map[string]int{"refresh_token": 401}, body: func(_ testing.TB, c participants) map[string]string {
			return map[string]string{"refresh_token": c.p.Refresh}
		}},
		{name: "logout", method: "POST", path: pathOf("/api/v1/auth/logout"), who: signedIn, ok: 204},
		{name: "list sessions", method: "GET", path: pathOf("/api/v1/auth/sessions"), who: signedIn, ok: 200, list: true},
		{name: "end session", method: "DELETE", who: signedIn, ok: 204, path: func(t testing.TB, c participants) string {
			return "/api/v1/auth/sessions/" + c.s.withT(t).currentSession(c.p)
		}},
		{name: "verification page", method: "GET", path: pathOf("/api/v1/auth/email/verify"), ok: 200},
		{name: "reset page", method: "GET", path: pathOf("/api/v1/auth/password/reset"), ok: 200},
		{name: "verify e-mail", method: "POST", path: pathOf("/api/v1/auth/email/verify"), ok: 204, wrong: map[string]int{"token": 410}, body: func(t testing.TB, c participants) map[string]string {
			return map[string]string{"token": c.env.awaitMailToken(t, c.p.Email, "Confirm", 1)}
		}},
		{name: "resend verification", method: "POST", path: pathOf("/api/v1/auth/email/resend"), who: signedIn, ok: 202},
		{name: "forgot password", method: "POST", path: pathOf("/api/v1/auth/password/forgot"), ok: 202, body: func(_ testing.TB, c participants) map[string]string {
			return map[string]string{"email": c.p.Email}
		}},
		{name: "reset password", method: "POST", path: pathOf("/api/v1/auth/password/reset"), ok: 204, wrong: map[string]int{"token": 410}, body: func(t testing.TB, c participants) map[string]string {
			c.s.withT(t).expect(request{Method: "POST", Path: "/api/v1/auth/password/forgot", Body: map[string]string{"email": c.p.Email}}, 202, "")
			return map[string]string{"token": c.env.awaitMailToken(t, c.p.Email, "Reset", 1), "password": "another good password"}
		}},
		{name: "get me", method: "GET", path: pathOf("/api/v1/users/me"), who: signedIn, ok: 200},
		{name: "patch me", method: "PATCH", path: pathOf("/api/v1/users/me"), who: signedIn, ok: 200, optional: true, body: func(testing.TB, participants) map[string]string {
			return map[string]string{"name": "Renamed"}
		}},
		{name: "delete me", method: "DELETE", path: pathOf("/api/v1/users/me"), who: signedIn, ok: 204, wrong: map[string]int{"password": 401}, body: func(testing.TB, participants) map[string]string {
			return map[string]string{"password": password}
		}},
		{name: "change password", method: "PUT", path: pathOf("/api/v1/users/me/password"), who: signedIn, ok: 204, wrong: map[string]int{"current_password": 401}, body: func(testing.TB, participants) map[string]string {
			return map[string]string{"current_password": password, "new_password": "another good password"}
		}},
		{name: "list users", method: "GET", path: pathOf("/api/v1/users"), who: adminOnly, ok: 200, list: true, filters: []string{"role", "status"}},
		{name: "get user", method: "GET", path: otherUser, who: adminOnly, ok: 200},
		{name: "patch user", method: "PATCH", path: otherUser, who: adminOnly, ok: 200, optional: true, body: func(testing.TB, participants) map[string]string {
			return map[string]string{"name": "Renamed", "role": "admin", "status": "disabled"}
		}},
		{name: "delete user", method: "DELETE", path: otherUser, who: adminOnly, ok: 204},
		{name: "keys", method: "GET", path: pathOf("/api/v1/.well-known/jwks.json"), ok: 200},
		{name: "keys at the root", method: "GET", path: pathOf("/.well-known/jwks.json"), ok: 200},
	}
}

// newParticipants signs up the people for the call. Each costs two password hashes.
func (env *testEnv) newParticipants(k call, s *testClient, admin person) participants {
	s.t.Helper()
	c := participants{env: env, s: s, admin: admin}
	if k.who != adminOnly {
		c.p = s.signUp("Ada")
	}
	if k.name == "end session" || strings.HasSuffix(k.name, " user") {
		c.other = s.signUp("Bob")
	}
	return c
}

func (c participants) token(k call) string {
	switch k.who {
	case signedIn:
		return c.p.Access
	case adminOnly:
		return c.admin.Access
	}
	return ""
}

// currentSession returns the id of the session of the person's token.
func (s *testClient) currentSession(p person) string {
	s.t.Helper()
	res := s.expect(request{Method: "GET", Path: "/api/v1/auth/sessions", Token: p.Access}, 200, "")
	for _, item := range res.JSON["items"].([]any) {
		if item := item.(map[string]any); item["current"] == true {
			return fmt.Sprint(item["id"])
		}
	}
	s.t.Fatalf("no session is the current one: %s", res.Body)
	return ""
}
