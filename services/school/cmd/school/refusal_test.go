package main

import (
	"database/sql"
	"testing"
)

// TestRefusedCallsTakeNoLock holds the locks of all rows, as a change that hangs would, and makes every call of a change that is
// refused: each is answered all the same.
func TestRefusedCallsTakeNoLock(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	c := env.createCampus(t, s)
	expelled := env.person(t)
	s.addMembers(c.owner, c.school, "student", expelled)
	s.expect(removeMemberRequest(c.owner, c.school, expelled), 204, "")
	usedUp, expired := s.createInvite(c.owner, c.school, "student", 1), s.createInvite(c.owner, c.school, "student", 1)
	s.acceptInvite(env.person(t), usedUp)
	if _, err := s.DB.Exec("UPDATE invites SET expires_at = UTC_TIMESTAMP(6) WHERE code = ?", expired); err != nil {
		t.Fatal(err)
	}
	bannedFrom := s.createInvite(c.owner, c.school, "student", 1)
	if _, err := s.DB.Exec("UPDATE removed_members SET removed_at = UTC_TIMESTAMP(6)"); err != nil {
		t.Fatal(err)
	}
	lockRows(t, s.DB)

	for _, k := range calls() {
		t.Run(k.name, func(t *testing.T) {
			for i, who := range callers {
				// The last owner is found under the lock, and an anonymous caller has no membership to end.
				if status := k.answers[i]; status >= 400 && k.method != "GET" && (k.name != "leave" || status == 404) {
					if res := c.s.withT(t).send(k.newRequest(c, who.is(c))); res.Status != status {
						t.Errorf("%s: got %d %s, want %d", who.name, res.Status, res.Body, status)
					}
				}
			}
		})
	}
	for _, tc := range []struct {
		name    string
		request request
		status  int
		code    string
	}{
		{"an admin makes an owner", setRoleRequest(c.admin, c.school, c.target, "owner"), 403, "forbidden"},
		{"an admin changes an owner", setRoleRequest(c.admin, c.school, c.owner, "student"), 403, "forbidden"},
		{"an admin removes an owner", removeMemberRequest(c.admin, c.school, c.owner), 403, "forbidden"},
		{"someone else's role", setRoleRequest(c.owner, c.school, c.outsider, "teacher"), 404, "not_found"},
		{"an archived class", putClassMemberRequest(c.owner, c.archivedClass, c.target, "student"), 404, "not_found"},
		{"an invite from before the removal", acceptRequest(expelled, bannedFrom), 403, "removed_from_school"},
		{"an expired invite", acceptRequest(c.outsider, expired), 410, "invite_expired"},
		{"a used-up invite", acceptRequest(c.outsider, usedUp), 410, "invite_used_up"},
	} {
		t.Run(tc.name, func(t *testing.T) { s.withT(t).expect(tc.request, tc.status, tc.code) })
	}
}

// lockRows locks every row until the test ends.
func lockRows(t *testing.T, db *sql.DB) {
	t.Helper()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	})
	for _, table := range []string{"people", "schools", "classes", "school_members", "class_members", "invites", "removed_members"} {
		var n int
		if err := tx.QueryRow("SELECT COUNT(*) FROM " + table + " FOR UPDATE").Scan(&n); err != nil || n == 0 {
			t.Fatalf("%d rows of %s are locked, %v", n, table, err)
		}
	}
}
