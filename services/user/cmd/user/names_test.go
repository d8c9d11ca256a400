package main

import (
	"strings"
	"testing"

	"pgo/pkg/testing/servicetest"
)

func TestNamesOfAnyScriptComeBackUnchanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	admin := w.admin(t, s, "root@example.org")
	p := s.signUp("Ada")
	for _, name := range []string{
		"Zoë", "👩‍👩‍👧‍👦 Family", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "שָׁלוֹם עולם", "محمد بن موسى", "می\u200cخواهم", "क्\u200dष", "李小龍", "O'Brien \"Bob\" <b>&amp;</b>", "Robert'); DROP TABLE users;--",
		"e\u0301 decomposed", "a", strings.Repeat("🎈", 100), `back\slash`, "50%_",
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			made := s.want(request{Method: "POST", Path: "/api/v1/auth/register", Body: map[string]string{"email": p.Email + ".x", "password": password, "name": name}}, 201, "")
			path := "/api/v1/users/" + made.Text("id")
			if got := made.Text("name"); got != name {
				t.Errorf("registered as %q", got)
			}
			if got := s.want(request{Method: "GET", Path: path, Token: admin.Access}, 200, "").Text("name"); got != name {
				t.Errorf("read as %q", got)
			}
			if got := s.want(request{Method: "PATCH", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"name": name}}, 200, "").Text("name"); got != name {
				t.Errorf("renamed to %q", got)
			}
			s.want(request{Method: "DELETE", Path: path, Token: admin.Access}, 204, "")
		})
	}
}

func TestUnicodeAddressesWork(t *testing.T) {
	t.Parallel()
	s := newWorld(t).start(t)
	body := map[string]string{"email": "  Jürgen@Bücher.Example.ORG ", "password": "pässwörter 🎈 sind gut", "name": "Jürgen"}
	if got := s.want(request{Method: "POST", Path: "/api/v1/auth/register", Body: body}, 201, "").Text("email"); got != "jürgen@bücher.example.org" {
		t.Errorf("stored as %q", got)
	}
	s.want(request{Method: "POST", Path: "/api/v1/auth/register", Body: body}, 409, "email_taken")
	body["email"] = "JÜRGEN@bücher.example.org"
	delete(body, "name")
	s.want(request{Method: "POST", Path: "/api/v1/auth/login", Body: body}, 200, "")
}

func TestOneOfManyWhoRegisterTheSameAddressGetsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t, "PGO_CFG_HTTP__REQUEST_TIMEOUT=2m") // eight passwords are hashed at once
	var all []request
	for range 8 {
		all = append(all, request{Method: "POST", Path: "/api/v1/auth/register", Body: map[string]string{"email": "same@example.org", "password": password, "name": "Same"}})
	}
	if got := servicetest.CountStatuses(s.together(all...)); got[201] != 1 || got[409] != 7 {
		t.Errorf("statuses are %v, want one 201 and seven 409", got)
	}
	var events int
	if err := w.DB.Open(t).QueryRow("SELECT COUNT(*) FROM pgo_outbox").Scan(&events); err != nil || events != 2 {
		t.Errorf("%d events, %v; want 2: created and mail requested", events, err)
	}
}
