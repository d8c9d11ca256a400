package main

import (
	"slices"
	"strings"
	"testing"

	"pgo/pkg/event"
	"pgo/pkg/testing/servicetest"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	watcher := env.RecordEvents(t, "#")
	s := env.start(t)
	root := env.createAdmin(t, s, "root@example.org")
	p := s.signUp("Ada")
	path := "/api/v1/users/" + p.ID
	patch := func(body map[string]string) map[string]any {
		return s.expect(request{Method: "PATCH", Path: path, Token: root.Access, Body: body}, 200, "").JSON
	}
	read := func() map[string]any {
		return s.expect(request{Method: "GET", Path: path, Token: root.Access}, 200, "").JSON
	}
	var want []servicetest.ExpectedEvent
	expect := func(typ string, data map[string]any) {
		want = append(want, servicetest.ExpectedEvent{Type: typ, Data: data})
	}
	mail := func(purpose string) map[string]any { return map[string]any{"user_id": p.ID, "purpose": purpose} }

	expect("user.created.v1", read())
	expect("user.mail_requested.v1", mail("verify"))
	verifyToken := env.awaitMailToken(t, p.Email, "Confirm", 1)
	dumpTables(t, env.DB.Open(t)) // which waits until no mail is pending
	s.expect(request{Method: "POST", Path: "/api/v1/auth/email/resend", Token: p.Access}, 202, "")
	expect("user.mail_requested.v1", mail("verify"))
	s.expect(verifyRequest(verifyToken), 204, "")
	expect("user.updated.v1", read())
	s.expect(request{Method: "PATCH", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"name": "Ada L."}}, 200, "")
	expect("user.updated.v1", read())
	// Rejected calls, calls that change nothing and changes that are private emit no event.
	s.expect(request{Method: "PATCH", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"name": "Ada L."}}, 200, "")
	s.expect(request{Method: "PATCH", Path: path, Token: root.Access, Body: map[string]string{"name": "x", "role": "admin"}, Header: ifMatch(`"0"`)}, 412, "precondition_failed")
	s.expect(request{Method: "POST", Path: "/api/v1/auth/register", Body: map[string]string{"email": p.Email, "password": password, "name": "Thief"}}, 409, "email_taken")
	s.expect(request{Method: "PUT", Path: "/api/v1/users/me/password", Token: p.Access, Body: map[string]string{"current_password": password, "new_password": password + "!"}}, 204, "")
	expect("user.mail_requested.v1", mail("password_changed"))
	s.expect(forgotRequest(p.Email), 202, "")
	expect("user.mail_requested.v1", mail("reset"))
	resetToken := env.awaitMailToken(t, p.Email, "Reset", 1)
	dumpTables(t, env.DB.Open(t)) // which waits until no mail is pending
	s.expect(resetRequest(resetToken, password), 204, "")
	expect("user.mail_requested.v1", mail("password_changed"))
	expect("user.updated.v1", patch(map[string]string{"role": "admin"}))
	expect("user.disabled.v1", patch(map[string]string{"status": "disabled", "name": "Ada"})) // one event, the stronger
	expect("user.updated.v1", patch(map[string]string{"status": "active", "role": "user"}))
	s.expect(request{Method: "DELETE", Path: path, Token: root.Access}, 204, "")
	expect("user.deleted.v1", map[string]any{"id": p.ID})

	watcher.ExpectEvents(t, "user", p.ID, want)
	for _, e := range watcher.All() {
		for _, secret := range []string{password, "argon2", "password_hash", p.Access, p.Refresh, verifyToken, resetToken} {
			if strings.Contains(string(e.Data), secret) {
				t.Errorf("%s shows %q", e.Type, secret)
			}
		}
	}
	if !slices.ContainsFunc(watcher.All(), func(e event.Event) bool { return e.Subject == root.ID && e.Type == "user.created.v1" }) {
		t.Error("no event about the admin who was created on the command line")
	}
}
