package main

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"pgo/pkg/testing/testkit"
)

// awaitMail waits for a mail to an address and returns it.
func (env *testEnv) awaitMail(t testing.TB, to, about string) string {
	t.Helper()
	var text string
	testkit.Eventually(t, about+" mail", func() error {
		if all := env.readMails(t, to, about); len(all) > 0 {
			text = all[0]
			return nil
		}
		return errors.New("not there")
	})
	return text
}

// readText returns the decoded text of a mail.
func readText(t testing.TB, raw string) string {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestMailLimits(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t, "PGO_CFG_LOGIN__MAIL=6")
	db := env.DB.Open(t)
	forgot := func(s *testClient, ip, email string) {
		r := forgotRequest(email)
		r.Header = http.Header{"X-Forwarded-For": {ip}}
		s.expect(r, 202, "")
		dumpTables(s.t, db) // which waits until no mail is pending
	}
	t.Run("three an hour for an account", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		for i := range 5 {
			forgot(s, fmt.Sprintf("10.3.0.%d", i), p.Email)
		}
		if n := len(env.readMails(t, p.Email, "Reset")); n != 3 {
			t.Errorf("%d mails, want 3", n)
		}
		env.execSQL(t, "UPDATE mail_requests SET requested_at = requested_at - INTERVAL 1 HOUR WHERE user_id = ?", p.ID)
		forgot(s, "10.3.0.9", p.Email)
		if n := len(env.readMails(t, p.Email, "Reset")); n != 4 {
			t.Errorf("%d mails after an hour, want 4", n)
		}
	})
	t.Run("one pending", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		dumpTables(t, db)
		env.execSQL(t, "INSERT INTO mail_requests (user_id, purpose, requested_at) VALUES (?, 'reset', UTC_TIMESTAMP(6))", p.ID)
		forgot(s, "10.3.1.1", p.Email)
		if n := len(env.readMails(t, p.Email, "Reset")); n != 0 {
			t.Errorf("%d mails while one is pending", n)
		}
	})
	t.Run("one address", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		for i := range 6 {
			forgot(s, "10.3.2.1", fmt.Sprintf("nobody%d@example.org", i))
		}
		forgot(s, "10.3.2.1", p.Email)
		if n := len(env.readMails(t, p.Email, "Reset")); n != 0 {
			t.Error("the address causes more mails than it may")
		}
		forgot(s, "10.3.2.2", p.Email)
		if n := len(env.readMails(t, p.Email, "Reset")); n != 1 {
			t.Error("another address is limited as well")
		}
	})
	t.Run("verification", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		for range 5 {
			dumpTables(t, db)
			s.expect(request{Method: "POST", Path: "/api/v1/auth/email/resend", Token: p.Access}, 202, "")
		}
		dumpTables(t, db)
		if n := len(env.readMails(t, p.Email, "Confirm")); n != 3 {
			t.Errorf("%d mails, want 3", n)
		}
	})
}

func TestMailTexts(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t, "PGO_PUBLIC_URL=https://school.example.org/")
	for i, tc := range []struct{ name, accept, language, given, want, never string }{
		{"English by default", "", "", "Ada", "Hello,\n", "Ada"},
		{"Chinese by header", "zh-CN,zh;q=0.9,en;q=0.5", "", "Ada", "您好，\n", "Ada"},
		{"English by field", "zh-CN", "en", "Ada", "Hello,\n", "Ada"},
		{"Chinese by field", "", "zh", "Ada", "您好，\n", "Ada"},
		{"advertisement", "", "", "Claim your prize: https://evil.example/win", "Hello,\n", "evil.example"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := s.withT(t)
			email := fmt.Sprintf("t%d@example.org", i)
			body := map[string]string{"email": email, "password": password, "name": tc.given}
			if tc.language != "" {
				body["language"] = tc.language
			}
			s.expect(request{Method: "POST", Path: "/api/v1/auth/register", Body: body, Header: http.Header{"Accept-Language": {tc.accept}}}, 201, "")
			raw := env.awaitMail(t, email, "Confirm")
			text := strings.ReplaceAll(readText(t, raw), "\r\n", "\n")
			if !strings.HasPrefix(text, tc.want) || strings.Contains(raw, tc.never) {
				t.Errorf("the mail is %s", text)
			}
			if !strings.Contains(text, "<https://school.example.org/api/v1/auth/email/verify#token="+findToken(raw)+">") {
				t.Errorf("the mail has no link with the token: %s", text)
			}
			env.execSQL(t, "UPDATE users SET email_verified = TRUE WHERE email = ?", email)
			s.expect(forgotRequest(email), 202, "")
			text = readText(t, env.awaitMail(t, email, "Reset"))
			if strings.Contains(text, tc.given) != (tc.given == "Ada") {
				t.Errorf("the mail to a verified address is %s", text)
			}
		})
	}
	t.Run("language is changed", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		if got := s.expect(request{Method: "PATCH", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"language": "zh"}}, 200, "").Text("language"); got != "zh" {
			t.Errorf("the language is %q", got)
		}
		s.expect(request{Method: "PATCH", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"language": "fr"}}, 422, "validation_failed")
	})
}

func TestSecurityNotices(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	db := env.DB.Open(t)
	const next = "another good password"
	const changed, device = "password was changed", "new device"
	t.Run("change of the password", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		s.expect(request{Method: "PUT", Path: "/api/v1/users/me/password", Token: p.Access, Body: map[string]string{"current_password": password, "new_password": next}}, 204, "")
		env.awaitMail(t, p.Email, changed)
	})
	t.Run("reset", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		s.expect(forgotRequest(p.Email), 202, "")
		s.expect(resetRequest(env.awaitMailToken(t, p.Email, "Reset", 1), next), 204, "")
		env.awaitMail(t, p.Email, changed)
	})
	t.Run("new device", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		s.signIn(p, password) // the same address and program
		s.expect(deviceLogin("10.4.0.1", p.Email, password, s.signInDevice("127.0.0.1", p.Email)), 200, "")
		dumpTables(t, db)
		if all := env.readMails(t, p.Email, device); len(all) != 0 {
			t.Errorf("a known device is announced: %s", all)
		}
		s.expect(loginFrom("10.4.0.2", p.Email, password), 200, "")
		env.awaitMail(t, p.Email, device)
	})
	t.Run("first sign-in after a long time", func(t *testing.T) {
		s := s.withT(t)
		p := s.signUp("Ada")
		env.execSQL(t, "DELETE FROM sessions WHERE user_id = ?", p.ID) // as pruning does
		env.execSQL(t, "UPDATE users SET created_at = created_at - INTERVAL 60 DAY WHERE id = ?", p.ID)
		s.signIn(p, password)
		env.awaitMail(t, p.Email, device)
	})
}

// TestForgotTimeIsSameForUnknownAddress compares medians, as TestLoginTimeIsSameForUnknownAddress does.
func TestForgotTimeIsSameForUnknownAddress(t *testing.T) {
	env := newTestEnv(t)
	s := env.start(t)
	p := s.signUp("Ada")
	took := map[string][]time.Duration{}
	for range 41 {
		for _, email := range []string{p.Email, "nobody@example.org"} {
			began := time.Now()
			s.expect(forgotRequest(email), 202, "")
			took[email] = append(took[email], time.Since(began))
		}
	}
	median := func(email string) time.Duration { slices.Sort(took[email]); return took[email][len(took[email])/2] }
	known, unknown := median(p.Email), median("nobody@example.org")
	if ratio := float64(known) / float64(unknown); ratio < 0.6 || ratio > 1.7 {
		t.Errorf("a known address takes %v, an unknown one %v", known, unknown)
	}
}

func TestLinkPages(t *testing.T) {
	t.Parallel()
	s := newTestEnv(t).start(t)
	for _, tc := range []struct{ path, language, want string }{
		{"/api/v1/auth/email/verify", "en", "Confirm your e-mail address"}, {"/api/v1/auth/email/verify", "zh-CN", "确认邮箱地址"},
		{"/api/v1/auth/password/reset", "de", "Set a new password"}, {"/api/v1/auth/password/reset", "zh", "设置新密码"},
	} {
		res := s.send(request{Method: "GET", Path: tc.path, Header: http.Header{"Accept-Language": {tc.language}}})
		page := string(res.Body)
		if res.Status != 200 || !strings.Contains(page, tc.want) || res.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s in %s: %d %s", tc.path, tc.language, res.Status, page)
		}
		_, script, _ := strings.Cut(page, "<script>")
		script, _, _ = strings.Cut(script, "</script>")
		sum := sha256.Sum256([]byte(script))
		if policy := res.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			t.Errorf("the policy %q does not allow the page's script", policy)
		}
	}
}
