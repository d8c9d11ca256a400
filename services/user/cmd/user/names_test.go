package main

import (
	"strings"
	"testing"

	"pgo/pkg/testing/servicetest"
)

func TestNamesOfAnyScriptAreKept(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	admin := env.createAdmin(t, s, "root@example.org")
	p := s.signUp("Ada")
	for _, name := range []string{
		"Zoë", "👩‍👩‍👧‍👦 Family", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "שָׁלוֹם עולם", "محمد بن موسى", "می\u200cخواهم", "क्\u200dष", "李小龍", "O'Brien \"Bob\" <b>&amp;</b>", "Robert'); DROP TABLE users;--",
		"e\u0301 decomposed", "a", strings.Repeat("🎈", 100), `back\slash`, "50%_",
	} {
		t.Run(name, func(t *testing.T) {
			s := s.withT(t)
			made := s.expect(request{Method: "POST", Path: "/api/v1/auth/register", Body: map[string]string{"email": p.Email + ".x", "password": password, "name": name}}, 201, "")
			path := "/api/v1/users/" + made.Text("id")
			if got := made.Text("name"); got != name {
				t.Errorf("registered as %q", got)
			}
			if got := s.expect(request{Method: "GET", Path: path, Token: admin.Access}, 200, "").Text("name"); got != name {
				t.Errorf("read as %q", got)
			}
			if got := s.expect(request{Method: "PATCH", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"name": name}}, 200, "").Text("name"); got != name {
				t.Errorf("renamed to %q", got)
			}
			s.expect(request{Method: "DELETE", Path: path, Token: admin.Access}, 204, "")
		})
	}
}

func TestUnicodeAddresses(t *testing.T) {
	t.Parallel()
	s := newTestEnv(t).start(t)
	body := map[string]string{"email": "  Jürgen@Bücher.Example.ORG ", "password": "pässwörter 🎈 sind gut", "name": "Jürgen"}
	if got := s.expect(request{Method: "POST", Path: "/api/v1/auth/register", Body: body}, 201, "").Text("email"); got != "jürgen@bücher.example.org" {
		t.Errorf("stored as %q", got)
	}
	s.expect(request{Method: "POST", Path: "/api/v1/auth/register", Body: body}, 409, "email_taken")
	body["email"] = "JÜRGEN@bücher.example.org"
	delete(body, "name")
	s.expect(request{Method: "POST", Path: "/api/v1/auth/login", Body: body}, 200, "")
}

func TestConcurrentRegistrationsOfOneAddress(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t, "PGO_CFG_HTTP__REQUEST_TIMEOUT=2m") // eight passwords are hashed at once
	var all []request
	for range 8 {
		all = append(all, request{Method: "POST", Path: "/api/v1/auth/register", Body: map[string]string{"email": "same@example.org", "password": password, "name": "Same"}})
	}
	if got := servicetest.CountStatuses(s.sendParallel(all...)); got[201] != 1 || got[409] != 7 {
		t.Errorf("statuses are %v, want one 201 and seven 409", got)
	}
	var events int
	if err := env.DB.Open(t).QueryRow("SELECT COUNT(*) FROM pgo_outbox").Scan(&events); err != nil || events != 2 {
		t.Errorf("%d events, %v; want 2: created and mail requested", events, err)
	}
}
