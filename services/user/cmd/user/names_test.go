package main

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"

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

// TestOneVisibleAddressIsOneAccount signs up and in with the forms of one address, and with those of one password.
func TestOneVisibleAddressIsOneAccount(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	const typed = "cafe\u0301 au lait \u00fcber alles"
	body := func(email, pw string) map[string]string { return map[string]string{"email": email, "password": pw} }
	login := func(email, pw string) request {
		return request{Method: "POST", Path: "/api/v1/auth/login", Body: body(email, pw)}
	}
	registration := body("J\u00fcrgen@b\u00fccher.example", typed)
	registration["name"] = "Jürgen"
	id := s.expect(request{Method: "POST", Path: "/api/v1/auth/register", Body: registration}, 201, "").Text("id")
	for _, email := range []string{"ju\u0308rgen@bu\u0308cher.example", "j\u00fcrgen@xn--bcher-kva.example"} {
		registration["email"] = email
		s.expect(request{Method: "POST", Path: "/api/v1/auth/register", Body: registration}, 409, "email_taken")
		s.expect(login(email, "caf\u00e9 au lait u\u0308ber alles"), 200, "")
	}
	t.Run("account of an earlier release", func(t *testing.T) {
		s := s.withT(t)
		const old = "ju\u0308rgen@xn--bcher-kva.example"
		env.execSQL(t, "UPDATE users SET email = ? WHERE id = ?", old, id)
		registration["email"] = old
		s.expect(request{Method: "POST", Path: "/api/v1/auth/register", Body: registration}, 409, "email_taken")
		s.expect(login(old, typed), 200, "")
		s.expect(forgotRequest(old), 202, "")
		env.awaitMail(t, old, "Reset")
	})
}

// TestPasswordOfEarlierRelease signs in with a password whose hash is that of its decomposed form: it is hashed again, and then
// the composed form is good as well.
func TestPasswordOfEarlierRelease(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	p := s.signUp("Ada")
	const decomposed, composed = "cafe\u0301 au lait", "caf\u00e9 au lait"
	salt := []byte("0123456789abcdef")
	enc := base64.RawStdEncoding
	hash := fmt.Sprintf("$argon2id$v=19$m=8,t=1,p=1$%s$%s", enc.EncodeToString(salt), enc.EncodeToString(argon2.IDKey([]byte(decomposed), salt, 1, 8, 1, 32)))
	env.execSQL(t, "UPDATE users SET password_hash = ? WHERE id = ?", hash, p.ID)
	s.expect(request{Method: "POST", Path: "/api/v1/auth/login", Body: map[string]string{"email": p.Email, "password": composed}}, 401, "invalid_credentials")
	s.signIn(p, decomposed)
	s.signIn(p, composed)
	s.expect(request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}, 200, "") // no session has ended
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
