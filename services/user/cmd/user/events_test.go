package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"pgo/pkg/event"
	"pgo/pkg/servicetest"
	"pgo/pkg/testkit"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	watcher := w.Events(t, "#")
	s := w.start(t)
	root := w.admin(t, s, "root@example.org")
	p := s.signUp("Ada")
	path := "/api/v1/users/" + p.ID
	patch := func(body map[string]string) map[string]any {
		return s.want(request{Method: "PATCH", Path: path, Token: root.Access, Body: body}, 200, "").JSON
	}
	read := func() map[string]any {
		return s.want(request{Method: "GET", Path: path, Token: root.Access}, 200, "").JSON
	}
	var want []struct {
		typ  string
		data map[string]any
	}
	expect := func(typ string, data map[string]any) {
		want = append(want, struct {
			typ  string
			data map[string]any
		}{typ, data})
	}
	mail := func(purpose string) map[string]any { return map[string]any{"user_id": p.ID, "purpose": purpose} }

	expect("user.created.v1", read())
	expect("user.mail_requested.v1", mail("verify"))
	verifyToken := w.mailToken(t, p.Email, "Confirm", 1)
	s.want(request{Method: "POST", Path: "/api/v1/auth/email/resend", Token: p.Access}, 202, "")
	expect("user.mail_requested.v1", mail("verify"))
	s.want(verify(verifyToken), 204, "")
	expect("user.updated.v1", read())
	s.want(request{Method: "PATCH", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"name": "Ada L."}}, 200, "")
	expect("user.updated.v1", read())
	// What is refused, what changes nothing and what nobody else is to know makes no event.
	s.want(request{Method: "PATCH", Path: "/api/v1/users/me", Token: p.Access, Body: map[string]string{"name": "Ada L."}}, 200, "")
	s.want(request{Method: "PATCH", Path: path, Token: root.Access, Body: map[string]string{"name": "x", "role": "admin"}, Header: ifMatch(`"0"`)}, 412, "precondition_failed")
	s.want(request{Method: "POST", Path: "/api/v1/auth/register", Body: map[string]string{"email": p.Email, "password": password, "name": "Thief"}}, 409, "email_taken")
	s.want(request{Method: "PUT", Path: "/api/v1/users/me/password", Token: p.Access, Body: map[string]string{"current_password": password, "new_password": password + "!"}}, 204, "")
	s.want(forgot(p.Email), 202, "")
	expect("user.mail_requested.v1", mail("reset"))
	resetToken := w.mailToken(t, p.Email, "Reset", 1)
	s.want(reset(resetToken, password), 204, "")
	expect("user.updated.v1", patch(map[string]string{"role": "admin"}))
	expect("user.disabled.v1", patch(map[string]string{"status": "disabled", "name": "Ada"})) // one event, the stronger
	expect("user.updated.v1", patch(map[string]string{"status": "active", "role": "user"}))
	s.want(request{Method: "DELETE", Path: path, Token: root.Access}, 204, "")
	expect("user.deleted.v1", map[string]any{"id": p.ID})

	testkit.Eventually(t, "the events", func() error {
		if events, _ := watcher.About(p.ID); len(events) < len(want) {
			return fmt.Errorf("there are %v", servicetest.Types(events))
		}
		return nil
	})
	events, _ := watcher.About(p.ID)
	if len(events) != len(want) {
		t.Fatalf("got %v, want %d events", servicetest.Types(events), len(want))
	}
	for i, e := range events {
		if e.Type != want[i].typ || e.Sequence != int64(i+1) || e.Source != "user" || uuid.Validate(e.ID) != nil || e.TraceParent == "" {
			t.Errorf("event %d is %s with sequence %d of %s, id %s, trace %q; want %s with %d", i, e.Type, e.Sequence, e.Source, e.ID, e.TraceParent, want[i].typ, i+1)
		}
		var data map[string]any
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		if got, want := canonical(t, data), canonical(t, want[i].data); got != want {
			t.Errorf("event %d carries %s\nwant %s", i, got, want)
		}
	}
	for _, e := range watcher.All() {
		for _, secret := range []string{password, "argon2", "password_hash", p.Access, p.Refresh, verifyToken, resetToken} {
			if strings.Contains(string(e.Data), secret) {
				t.Errorf("%s shows %q", e.Type, secret)
			}
		}
	}
	if !slices.ContainsFunc(watcher.All(), func(e event.Event) bool { return e.Subject == root.ID && e.Type == "user.created.v1" }) {
		t.Error("the admin who was made on the command line was not announced")
	}
}

func canonical(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
