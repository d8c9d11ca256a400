package main

import (
	"fmt"
	"strings"
	"testing"
)

// Who may make a call.
const (
	anyone = iota
	signedIn
	adminOnly
)

// cast is who takes part in a call: fresh people, so that calls do not disturb each other.
type cast struct {
	w     *world
	s     *testClient
	admin person
	p     person // who calls, unless it is the admin
	other person // somebody else
}

// call is one call of the API with what makes it succeed.
type call struct {
	name, method string
	who          int
	path         func(t testing.TB, c cast) string
	body         func(t testing.TB, c cast) map[string]string // nil: takes none
	wrong        map[string]int                               // the status for a field that has the right type and a bad value, 422 where not said
	optional     bool                                         // fields may be missing
	list         bool                                         // takes limit and cursor
	filters      []string                                     // and these
	ok           int
}

func at(path string) func(testing.TB, cast) string {
	return func(testing.TB, cast) string { return path }
}

// calls is the User section of the API.
func calls() []call {
	otherUser := func(_ testing.TB, c cast) string { return "/api/v1/users/" + c.other.ID }
	return []call{
		{name: "register", method: "POST", path: at("/api/v1/auth/register"), ok: 201, body: func(_ testing.TB, c cast) map[string]string {
			return map[string]string{"email": "new-" + c.p.Email, "password": password, "name": "New"}
		}},
		{name: "login", method: "POST", path: at("/api/v1/auth/login"), ok: 200, wrong: map[string]int{"email": 401, "password": 401}, body: func(_ testing.TB, c cast) map[string]string {
			return map[string]string{"email": c.p.Email, "password": password}
		}},
		{name: "refresh", method: "POST", path: at("/api/v1/auth/refresh"), ok: 200, wrong: map[string]int{"refresh_token": 401}, body: func(_ testing.TB, c cast) map[string]string {
			return map[string]string{"refresh_token": c.p.Refresh}
		}},
		{name: "logout", method: "POST", path: at("/api/v1/auth/logout"), who: signedIn, ok: 204},
		{name: "list sessions", method: "GET", path: at("/api/v1/auth/sessions"), who: signedIn, ok: 200, list: true},
		{name: "end session", method: "DELETE", who: signedIn, ok: 204, path: func(t testing.TB, c cast) string {
			return "/api/v1/auth/sessions/" + c.s.in(t).session(c.p)
		}},
		{name: "verify e-mail", method: "POST", path: at("/api/v1/auth/email/verify"), ok: 204, wrong: map[string]int{"token": 410}, body: func(t testing.TB, c cast) map[string]string {
			return map[string]string{"token": c.w.mailToken(t, c.p.Email, "Confirm", 1)}
		}},
		{name: "resend verification", method: "POST", path: at("/api/v1/auth/email/resend"), who: signedIn, ok: 202},
		{name: "forgot password", method: "POST", path: at("/api/v1/auth/password/forgot"), ok: 202, body: func(_ testing.TB, c cast) map[string]string {
			return map[string]string{"email": c.p.Email}
		}},
		{name: "reset password", method: "POST", path: at("/api/v1/auth/password/reset"), ok: 204, wrong: map[string]int{"token": 410}, body: func(t testing.TB, c cast) map[string]string {
			c.s.in(t).want(request{Method: "POST", Path: "/api/v1/auth/password/forgot", Body: map[string]string{"email": c.p.Email}}, 202, "")
			return map[string]string{"token": c.w.mailToken(t, c.p.Email, "Reset", 1), "password": "another good password"}
		}},
		{name: "get me", method: "GET", path: at("/api/v1/users/me"), who: signedIn, ok: 200},
		{name: "patch me", method: "PATCH", path: at("/api/v1/users/me"), who: signedIn, ok: 200, optional: true, body: func(testing.TB, cast) map[string]string {
			return map[string]string{"name": "Renamed"}
		}},
		{name: "delete me", method: "DELETE", path: at("/api/v1/users/me"), who: signedIn, ok: 204, wrong: map[string]int{"password": 401}, body: func(testing.TB, cast) map[string]string {
			return map[string]string{"password": password}
		}},
		{name: "change password", method: "PUT", path: at("/api/v1/users/me/password"), who: signedIn, ok: 204, wrong: map[string]int{"current_password": 401}, body: func(testing.TB, cast) map[string]string {
			return map[string]string{"current_password": password, "new_password": "another good password"}
		}},
		{name: "list users", method: "GET", path: at("/api/v1/users"), who: adminOnly, ok: 200, list: true, filters: []string{"role", "status"}},
		{name: "get user", method: "GET", path: otherUser, who: adminOnly, ok: 200},
		{name: "patch user", method: "PATCH", path: otherUser, who: adminOnly, ok: 200, optional: true, body: func(testing.TB, cast) map[string]string {
			return map[string]string{"name": "Renamed", "role": "admin", "status": "disabled"}
		}},
		{name: "delete user", method: "DELETE", path: otherUser, who: adminOnly, ok: 204},
		{name: "keys", method: "GET", path: at("/api/v1/.well-known/jwks.json"), ok: 200},
		{name: "keys at the root", method: "GET", path: at("/.well-known/jwks.json"), ok: 200},
	}
}

// castFor signs up those who take part in the call; each costs two password hashes.
func (w *world) castFor(k call, s *testClient, admin person) cast {
	s.t.Helper()
	c := cast{w: w, s: s, admin: admin}
	if k.who != adminOnly {
		c.p = s.signUp("Ada")
	}
	if k.name == "end session" || strings.HasSuffix(k.name, " user") {
		c.other = s.signUp("Bob")
	}
	return c
}

func (c cast) token(k call) string {
	switch k.who {
	case signedIn:
		return c.p.Access
	case adminOnly:
		return c.admin.Access
	}
	return ""
}

// session returns the id of the person's current session.
func (s *testClient) session(p person) string {
	s.t.Helper()
	res := s.want(request{Method: "GET", Path: "/api/v1/auth/sessions", Token: p.Access}, 200, "")
	for _, item := range res.JSON["items"].([]any) {
		if item := item.(map[string]any); item["current"] == true {
			return fmt.Sprint(item["id"])
		}
	}
	s.t.Fatalf("no session is the current one: %s", res.Body)
	return ""
}
