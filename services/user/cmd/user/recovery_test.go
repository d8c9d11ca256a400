package main

import (
	"bytes"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgo/pkg/testing/servicetest"
)

func verifyRequest(token string) request {
	return request{Method: "POST", Path: "/api/v1/auth/email/verify", Body: map[string]string{"token": token}}
}

func forgotRequest(email string) request {
	return request{Method: "POST", Path: "/api/v1/auth/password/forgot", Body: map[string]string{"email": email}}
}

func resetRequest(token, password string) request {
	return request{Method: "POST", Path: "/api/v1/auth/password/reset", Body: map[string]string{"token": token, "password": password}}
}

func TestEmailVerification(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	db := env.DB.Open(t)
	resend := func(s *testClient, p person) {
		s.expect(request{Method: "POST", Path: "/api/v1/auth/email/resend", Token: p.Access}, 202, "")
	}
	verified := func(s *testClient, p person) bool {
		return s.expect(request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}, 200, "").JSON["email_verified"] == true
	}

	t.Run("one use", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		token := env.awaitMailToken(t, p.Email, "Confirm", 1)
		s.expect(resetRequest(token, "another good password"), 410, "token_expired") // it has another purpose
		if verified(s, p) {
			t.Error("verified before the token was sent")
		}
		if got := servicetest.CountStatuses(s.sendParallel(verifyRequest(token), verifyRequest(token), verifyRequest(token))); got[204] != 1 || got[410] != 2 {
			t.Errorf("statuses are %v, want one 204 and two 410", got)
		}
		if !verified(s, p) {
			t.Error("not verified")
		}
		s.expect(verifyRequest(token), 410, "token_expired")
	})
	t.Run("resent", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		first := env.awaitMailToken(t, p.Email, "Confirm", 1)
		dumpTables(t, db) // which waits until no mail is pending
		resend(s, p)
		second := env.awaitMailToken(t, p.Email, "Confirm", 2)
		if first == second {
			t.Error("the same token is sent twice")
		}
		s.expect(verifyRequest(second), 204, "")
		s.expect(verifyRequest(first), 410, "token_expired") // spent with the other
		before := dumpTables(t, db)
		resend(s, p)
		if after := dumpTables(t, db); after != before {
			t.Errorf("a verified address is asked to verify again:\n%s", servicetest.DiffLines(before, after))
		}
	})
	t.Run("expired", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		token := env.awaitMailToken(t, p.Email, "Confirm", 1)
		env.execSQL(t, "UPDATE mail_tokens SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE user_id = ?", p.ID)
		s.expect(verifyRequest(token), 410, "token_expired")
		if verified(s, p) {
			t.Error("verified by an expired token")
		}
	})
}

func TestPasswordReset(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	root := env.createAdmin(t, s, "root@example.org")
	db := env.DB.Open(t)
	const next = "another good password"

	t.Run("one use", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		s.expect(forgotRequest(strings.ToUpper(p.Email)), 202, "")
		env.awaitMailToken(t, p.Email, "Reset", 1)
		dumpTables(t, db) // which waits until no mail is pending
		s.expect(forgotRequest(p.Email), 202, "")
		second := env.awaitMailToken(t, p.Email, "Reset", 2)
		first := findToken(env.readMails(t, p.Email, "Reset")[0])
		s.expect(verifyRequest(first), 410, "token_expired") // it has another purpose
		s.expect(resetRequest(first, "short"), 422, "validation_failed")
		s.expect(resetRequest(first, "password1234"), 422, "validation_failed") // common
		if got := servicetest.CountStatuses(s.sendParallel(resetRequest(first, next), resetRequest(first, next), resetRequest(second, next))); got[204] != 1 || got[410] != 2 {
			t.Errorf("statuses are %v, want one 204 and two 410", got)
		}
		s.expect(resetRequest(first, next), 410, "token_expired")
		s.expect(resetRequest(second, next), 410, "token_expired")
		s.expect(request{Method: "POST", Path: "/api/v1/auth/login", Body: map[string]string{"email": p.Email, "password": password}}, 401, "invalid_credentials")
		if me := s.expect(request{Method: "GET", Path: "/api/v1/users/me", Token: s.signIn(p, next).Access}, 200, ""); me.JSON["email_verified"] != true {
			t.Errorf("the reset did not verify the address: %s", me.Body)
		}
	})
	t.Run("expired", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		s.expect(forgotRequest(p.Email), 202, "")
		token := env.awaitMailToken(t, p.Email, "Reset", 1)
		env.execSQL(t, "UPDATE mail_tokens SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE user_id = ?", p.ID)
		s.expect(resetRequest(token, next), 410, "token_expired")
		s.signIn(p, password)
	})
	t.Run("overtaken by a change of password", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		s.expect(forgotRequest(p.Email), 202, "")
		token := env.awaitMailToken(t, p.Email, "Reset", 1)
		s.expect(request{Method: "PUT", Path: "/api/v1/users/me/password", Token: p.Access, Body: map[string]string{"current_password": password, "new_password": next}}, 204, "")
		s.expect(resetRequest(token, "the thief's password"), 410, "token_expired")
		s.signIn(p, next)
	})
	t.Run("of a deleted user", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		s.expect(forgotRequest(p.Email), 202, "")
		token := env.awaitMailToken(t, p.Email, "Reset", 1)
		s.expect(request{Method: "DELETE", Path: "/api/v1/users/" + p.ID, Token: root.Access}, 204, "")
		s.expect(resetRequest(token, next), 410, "token_expired")
	})
	t.Run("no active account", func(t *testing.T) {
		s := s.withT(t)
		disabled, deleted := s.signUp("Disabled"), s.signUp("Deleted")
		s.expect(request{Method: "PATCH", Path: "/api/v1/users/" + disabled.ID, Token: root.Access, Body: map[string]string{"status": "disabled"}}, 200, "")
		s.expect(request{Method: "DELETE", Path: "/api/v1/users/" + deleted.ID, Token: root.Access}, 204, "")
		before := dumpTables(t, db)
		for _, email := range []string{"nobody@example.org", disabled.Email, deleted.Email} {
			if res := s.expect(forgotRequest(email), 202, ""); len(res.Body) != 0 {
				t.Errorf("the response has a body: %s", res.Body)
			}
		}
		if after := dumpTables(t, db); after != before {
			t.Errorf("a mail was requested:\n%s", servicetest.DiffLines(before, after))
		}
	})
}

// execSQL changes rows of the database past the service. It fails the test if no row changes.
func (env *testEnv) execSQL(t testing.TB, statement string, args ...any) {
	t.Helper()
	res, err := env.DB.Open(t).Exec(statement, args...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%s: %d rows, %v", statement, n, err)
	}
}

func TestMailFormatAndFileMode(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	for i, name := range []string{"Ada", "Zoë <zoe@evil.example>", `"Quoted\" name`, "שלום", strings.Repeat("🎈", 100), "a, b; c: d", "=?utf-8?q?=0D=0ABcc:_x?=", strings.Repeat("W", 100)} {
		t.Run(name, func(t *testing.T) {
			email := fmt.Sprintf("m%d@example.org", i)
			s := s.withT(t)
			s.expect(request{Method: "POST", Path: "/api/v1/auth/register", Body: map[string]string{"email": email, "password": password, "name": name}}, 201, "")
			if text := env.awaitMail(t, email, "Confirm"); strings.Contains(text, name) {
				t.Errorf("the name is in a mail to an address that is not verified: %s", text)
			}
			env.execSQL(t, "UPDATE users SET email_verified = TRUE WHERE email = ?", email)
			s.expect(forgotRequest(email), 202, "")
			text := env.awaitMail(t, email, "Reset")
			m, err := mail.ReadMessage(strings.NewReader(text))
			if err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			to, err := m.Header.AddressList("To")
			if err != nil || len(to) != 1 || to[0].Address != email || to[0].Name != name {
				t.Errorf("to %v, %v", to, err)
			}
			if len(m.Header) != 8 {
				t.Errorf("headers are %v", m.Header)
			}
			for line := range bytes.Lines([]byte(text)) {
				if len(line) > 1000 || bytes.HasSuffix(line, []byte("\n")) && !bytes.HasSuffix(line, []byte("\r\n")) {
					t.Errorf("a line that is too long or does not end with CRLF: %q", line)
				}
			}
		})
	}
	files, err := filepath.Glob(filepath.Join(env.mailDir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v, %v; want 0600", f, info.Mode(), err)
		}
	}
}
