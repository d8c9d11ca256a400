package main

import (
	"testing"
)

// TestRightsEndWithTheRole lets people use invites after the role of the person who made them, or their own membership, ended.
func TestRightsEndWithTheRole(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	for _, tc := range []struct {
		name, makerRole, inviteRole string
		end                         func(owner person, school string, maker person) request
		status                      int
		code                        string
	}{
		{"removed admin, invite for admins", "admin", "admin", removeMemberRequest, 404, "not_found"},
		{"removed teacher, invite for students", "teacher", "student", removeMemberRequest, 404, "not_found"},
		{"admin who left", "admin", "student", func(_ person, school string, maker person) request { return removeMemberRequest(maker, school, maker) }, 404, "not_found"},
		{"admin becomes teacher, invite for teachers", "admin", "teacher", becomes("teacher"), 404, "not_found"},
		{"admin becomes teacher, invite for students", "admin", "student", becomes("teacher"), 201, ""},
		{"teacher becomes student", "teacher", "student", becomes("student"), 404, "not_found"},
		{"owner becomes admin, invite for admins", "owner", "admin", becomes("admin"), 201, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := s.withT(t)
			owner, maker, newcomer := env.person(t), env.person(t), env.person(t)
			id := s.createSchool(owner)
			s.addMembers(owner, id, tc.makerRole, maker)
			code := s.createInvite(maker, id, tc.inviteRole, 5)
			if res := s.send(tc.end(owner, id, maker)); res.Status >= 300 {
				t.Fatalf("got %d %s", res.Status, res.Body)
			}
			s.expect(acceptRequest(newcomer, code), tc.status, tc.code)
			wantLeft := 0
			if tc.status == 201 {
				wantLeft = 1
			}
			if left := s.queryInt("SELECT COUNT(*) FROM invites WHERE school_id = ? AND created_by = ?", id, maker.ID); left != wantLeft {
				t.Errorf("%d of the maker's invites are left, want %d", left, wantLeft)
			}
		})
	}
	t.Run("an invite that a former release left", func(t *testing.T) {
		s := s.withT(t)
		owner, maker := env.person(t), env.person(t)
		id := s.createSchool(owner)
		s.addMembers(owner, id, "admin", maker)
		code := s.createInvite(maker, id, "admin", 5)
		if _, err := s.DB.Exec("UPDATE school_members SET role = 'student' WHERE school_id = ? AND user_id = ?", id, maker.ID); err != nil {
			t.Fatal(err)
		}
		s.expect(acceptRequest(env.person(t), code), 404, "not_found")
	})
}

func becomes(role string) func(owner person, school string, maker person) request {
	return func(owner person, school string, maker person) request {
		return setRoleRequest(owner, school, maker, role)
	}
}

// TestRemovedMembersNeedNewInvites removes people and lets them use invites from before and after.
func TestRemovedMembersNeedNewInvites(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	owner, admin, expelled, left := env.person(t), env.person(t), env.person(t), env.person(t)
	id := s.createSchool(owner)
	s.addMembers(owner, id, "admin", admin)
	open := s.createInvite(owner, id, "student", 50)
	s.acceptInvite(expelled, open)
	s.acceptInvite(left, open)
	s.expect(removeMemberRequest(owner, id, expelled), 204, "")
	s.expect(removeMemberRequest(left, id, left), 204, "")
	s.expect(removeMemberRequest(owner, id, admin), 204, "")
	s.expect(acceptRequest(expelled, open), 403, "removed_from_school")
	s.expect(acceptRequest(admin, open), 403, "removed_from_school")
	s.acceptInvite(left, open) // left without being removed
	s.acceptInvite(env.person(t), open)
	if uses := s.queryInt("SELECT uses FROM invites WHERE code = ?", open); uses != 4 {
		t.Errorf("the invite counts %d uses, want 4", uses)
	}
	s.acceptInvite(expelled, s.createInvite(owner, id, "student", 1))
	s.expect(removeMemberRequest(expelled, id, expelled), 204, "")
	s.expect(acceptRequest(expelled, open), 403, "removed_from_school") // the removal is not forgotten by a return
	other := s.createSchool(owner)
	s.acceptInvite(expelled, s.createInvite(owner, other, "student", 1)) // it concerns one school
}

// TestAcceptsWhileMakerIsRemoved removes an admin while people accept the admin's invite, on two instances: whoever got in
// did so before the removal.
func TestAcceptsWhileMakerIsRemoved(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	a, b := env.start(t), env.start(t)
	for range 5 {
		owner, maker := env.person(t), env.person(t)
		id := a.createSchool(owner)
		a.addMembers(owner, id, "admin", maker)
		code := a.createInvite(maker, id, "admin", 50)
		var all []request
		for range 12 {
			all = append(all, acceptRequest(env.person(t), code))
		}
		removed := make(chan response, 1)
		go func() {
			res, err := b.Try(removeMemberRequest(owner, id, maker))
			if err != nil {
				t.Error(err)
			}
			removed <- res
		}()
		accepted := 0
		for _, res := range a.sendParallel(all...) {
			switch {
			case res.Status == 201:
				accepted++
			case res.Status != 404:
				t.Errorf("got %d %s", res.Status, res.Body)
			}
		}
		if res := <-removed; res.Status != 204 {
			t.Errorf("the removal got %d %s", res.Status, res.Body)
		}
		if members := a.queryInt("SELECT COUNT(*) FROM school_members WHERE school_id = ?", id); members != accepted+1 {
			t.Errorf("%d members, want the owner and the %d who were accepted", members, accepted)
		}
		last := a.queryInt(`SELECT COUNT(*) FROM school_members m JOIN pgo_outbox o ON o.subject = m.school_id AND o.type = 'school.member_removed.v1'
			WHERE m.school_id = ? AND m.version > CAST(JSON_UNQUOTE(JSON_EXTRACT(o.envelope, '$.sequence')) AS SIGNED)`, id)
		if last != 0 {
			t.Errorf("%d people got in after the removal", last)
		}
	}
}
