package main

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

// TestRoleChangesByRole changes each role to each other role, as an admin and as an owner.
func TestRoleChangesByRole(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	owner, admin := env.person(t), env.person(t)
	id := s.createSchool(owner)
	s.addMembers(owner, id, "admin", admin)
	roles := []string{"owner", "admin", "teacher", "student"}
	for _, was := range roles {
		target := env.person(t)
		s.addMembers(owner, id, "student", target)
		for _, becomes := range append(roles, was) {
			t.Run(fmt.Sprintf("%s to %s", was, becomes), func(t *testing.T) {
				s := s.withT(t)
				s.expect(setRoleRequest(owner, id, target, was), 200, "")
				status, code := 200, ""
				if was == "owner" || becomes == "owner" {
					status, code = 403, "forbidden"
				}
				s.expect(setRoleRequest(admin, id, target, becomes), status, code)
				if m := s.expect(setRoleRequest(owner, id, target, becomes), 200, ""); m.Text("role") != becomes || m.Text("user_id") != target.ID || m.Text("school_id") != id {
					t.Errorf("got %s", m.Body)
				}
				if got := s.listRoles(schools+"/"+id+"/members", target)[target.ID]; got != becomes {
					t.Errorf("the list has the role %q", got)
				}
			})
		}
		t.Run("remove "+was, func(t *testing.T) {
			s := s.withT(t)
			s.expect(setRoleRequest(owner, id, target, was), 200, "")
			if was == "owner" {
				s.expect(removeMemberRequest(admin, id, target), 403, "forbidden")
			}
			s.expect(removeMemberRequest(owner, id, target), 204, "")
			s.expect(removeMemberRequest(owner, id, target), 404, "not_found")
			s.expect(request{Method: "GET", Path: schools + "/" + id, Token: target.Token}, 404, "not_found")
		})
	}
	s.expect(setRoleRequest(admin, id, admin, "teacher"), 200, "") // admins may give up the role
	s.expect(setRoleRequest(admin, id, admin, "admin"), 403, "forbidden")
}

func TestLastOwnerCannotBeRemoved(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	owner, admin, second := env.person(t), env.person(t), env.person(t)
	id := s.createSchool(owner)
	s.addMembers(owner, id, "admin", admin)
	for _, role := range []string{"admin", "teacher", "student"} {
		s.expect(setRoleRequest(owner, id, owner, role), 409, "last_owner")
	}
	s.expect(removeMemberRequest(owner, id, owner), 409, "last_owner")
	s.addMembers(owner, id, "owner", second)
	s.expect(removeMemberRequest(owner, id, owner), 204, "")
	s.expect(removeMemberRequest(second, id, second), 409, "last_owner")
	s.expect(setRoleRequest(second, id, second, "owner"), 200, "") // which changes nothing
}

// TestConcurrentRemovalsKeepOneOwner lets the last two owners end their own or each other's role concurrently,
// on two instances: one owner always stays.
func TestConcurrentRemovalsKeepOneOwner(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	a, b := env.start(t), env.start(t)
	ways := []func(id string, by, who person) request{
		func(id string, by, who person) request { return setRoleRequest(by, id, who, "student") },
		func(id string, by, who person) request { return removeMemberRequest(by, id, who) },
	}
	for round := range 16 {
		first, second := env.person(t), env.person(t)
		id := a.createSchool(first)
		a.addMembers(first, id, "owner", second)
		mine, theirs := first, second
		if round%2 == 0 {
			mine, theirs = theirs, mine
		}
		one, other := ways[round/2%2](id, first, mine), ways[round/4%2](id, second, theirs)
		done := make(chan response, 1)
		go func() {
			res, err := b.Try(other)
			if err != nil {
				t.Error(err)
			}
			done <- res
		}()
		answers := []response{a.send(one), <-done}
		changed := 0
		for _, res := range answers {
			switch {
			case res.Status < 300:
				changed++
			case res.Code() != "last_owner" && res.Status != 403 && res.Status != 404:
				t.Errorf("round %d: %d %s", round, res.Status, res.Body)
			}
		}
		if owners := a.queryInt("SELECT COUNT(*) FROM school_members WHERE school_id = ? AND role = 'owner'", id); owners != 1 || changed != 1 {
			t.Fatalf("round %d: %d owners left, %d changes; want 1 and 1", round, owners, changed)
		}
	}
}

func TestInvites(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	owner := env.person(t)
	id := s.createSchool(owner)
	path := schools + "/" + id + "/invites"
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	made := s.expect(request{Method: "POST", Path: path, Token: owner.Token, Body: map[string]any{"role": "teacher", "max_uses": 2, "expires_at": expires.In(time.FixedZone("", 3600))}}, 201, "")
	code := made.Text("code")
	if len(code) < 16 || strings.ContainsAny(code, "/+=?&%") {
		t.Errorf("code %q", code)
	}
	want := map[string]any{"code": code, "school_id": id, "role": "teacher", "max_uses": 2.0, "uses": 0.0, "expires_at": expires.Format(time.RFC3339), "created_by": owner.ID, "created_at": made.Text("created_at")}
	if !maps.Equal(made.JSON, want) {
		t.Errorf("created %v, want %v", made.JSON, want)
	}
	a, b, c := env.person(t), env.person(t), env.person(t)
	m := s.acceptInvite(a, code)
	if m.Text("role") != "teacher" || m.Text("user_id") != a.ID || m.Text("school_id") != id || m.JSON["name"] != nil || m.Header.Get("ETag") == "" {
		t.Errorf("accepted as %s", m.Body)
	}
	s.expect(acceptRequest(a, code), 409, "already_member")
	s.expect(acceptRequest(owner, code), 409, "already_member")
	s.acceptInvite(b, code)
	s.expect(acceptRequest(a, code), 409, "already_member")
	s.expect(acceptRequest(c, code), 410, "invite_used_up")
	want["uses"] = 2.0
	list := s.expect(request{Method: "GET", Path: path, Token: owner.Token}, 200, "")
	if items := list.Items(); len(items) != 1 || !maps.Equal(items[0], want) {
		t.Errorf("listed as %s, want %v", list.Body, want)
	}
	s.expect(removeMemberRequest(b, id, b), 204, "")
	s.expect(acceptRequest(b, code), 410, "invite_used_up") // leaving does not give the use back

	second := s.createInvite(owner, id, "student", 5)
	if _, err := s.DB.Exec("UPDATE invites SET expires_at = UTC_TIMESTAMP(6) WHERE code = ?", second); err != nil {
		t.Fatal(err)
	}
	s.expect(acceptRequest(c, second), 410, "invite_expired")
	s.expect(acceptRequest(a, second), 409, "already_member")
	third := s.createInvite(owner, id, "student", 5)
	s.expect(request{Method: "DELETE", Path: invites + third, Token: owner.Token}, 204, "")
	s.expect(request{Method: "DELETE", Path: invites + third, Token: owner.Token}, 404, "not_found")
	s.expect(acceptRequest(c, third), 404, "not_found")
	s.expect(acceptRequest(c, strings.ToLower(code)), 404, "not_found")
	fourth := s.createInvite(owner, id, "student", 5)
	s.expect(archiveSchoolRequest(owner, id, "Lakeside"), 204, "")
	s.expect(acceptRequest(c, fourth), 404, "not_found")
	s.expect(request{Method: "DELETE", Path: invites + fourth, Token: owner.Token}, 404, "not_found")
}

// TestConcurrentAcceptsKeepMaxUses lets 40 people accept an invite with 5 uses concurrently, on two instances, and
// one person 10 times concurrently.
func TestConcurrentAcceptsKeepMaxUses(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	a, b := env.start(t), env.start(t)
	owner := env.person(t)
	id := a.createSchool(owner)
	code := a.createInvite(owner, id, "student", 5)
	var half [2][]request
	for i := range 40 {
		half[i%2] = append(half[i%2], acceptRequest(env.person(t), code))
	}
	other := make(chan []response, 1)
	go func() { other <- b.sendParallel(half[1]...) }()
	count := map[string]int{}
	for _, res := range append(a.sendParallel(half[0]...), <-other...) {
		count[fmt.Sprint(res.Status, res.Code())]++
	}
	if count["201"] != 5 || count["410invite_used_up"] != 35 {
		t.Errorf("answers are %v, want 5 of 201 and 35 of 410 invite_used_up", count)
	}
	if members, uses := a.queryInt("SELECT COUNT(*) FROM school_members WHERE school_id = ? AND role = 'student'", id), a.queryInt("SELECT uses FROM invites WHERE code = ?", code); members != 5 || uses != 5 {
		t.Errorf("%d members by %d uses", members, uses)
	}
	code, eager := a.createInvite(owner, id, "student", 10), env.person(t)
	var again []request
	for range 10 {
		again = append(again, acceptRequest(eager, code))
	}
	count = map[string]int{}
	for _, res := range a.sendParallel(again...) {
		count[fmt.Sprint(res.Status, res.Code())]++
	}
	if uses := a.queryInt("SELECT uses FROM invites WHERE code = ?", code); count["201"] != 1 || count["409already_member"] != 9 || uses != 1 {
		t.Errorf("answers are %v with %d uses, want one 201", count, uses)
	}
}

func TestClasses(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	c := env.createCampus(t, s)
	t.Run("student of the school cannot teach a class", func(t *testing.T) {
		res := s.withT(t).expect(putClassMemberRequest(c.owner, c.class, c.target, "teacher"), 422, "validation_failed")
		if !strings.Contains(string(res.Body), `"field":"role","code":"not_allowed"`) {
			t.Errorf("says %s", res.Body)
		}
		s.withT(t).expect(putClassMemberRequest(c.classTeacher, c.class, c.classStudent, "teacher"), 422, "validation_failed")
	})
	t.Run("only members of the school are in its classes", func(t *testing.T) {
		for _, p := range []person{c.outsider, c.otherOwner, c.platformAdmin} {
			s.withT(t).expect(putClassMemberRequest(c.owner, c.class, p, "student"), 409, "not_a_school_member")
		}
	})
	t.Run("a role changes", func(t *testing.T) {
		s := s.withT(t)
		s.expect(putClassMemberRequest(c.classTeacher, c.class, c.teacher, "student"), 201, "")
		s.expect(putClassMemberRequest(c.classTeacher, c.class, c.teacher, "teacher"), 200, "")
		if got := s.listRoles(classes+c.class+"/members", c.teacher)[c.teacher.ID]; got != "teacher" {
			t.Errorf("is %q", got)
		}
		s.expect(removeClassMemberRequest(c.teacher, c.class, c.teacher), 204, "") // a teacher of the class, so also themself
		s.expect(removeClassMemberRequest(c.owner, c.class, c.teacher), 404, "not_found")
		s.expect(removeClassMemberRequest(c.classStudent, c.class, c.classStudent), 403, "forbidden")
	})
	t.Run("member who becomes a student stops teaching", func(t *testing.T) {
		s := s.withT(t)
		second := s.createClass(c.admin, c.school, "8a")
		s.expect(putClassMemberRequest(c.owner, second, c.classTeacher, "student"), 201, "")
		s.expect(setRoleRequest(c.admin, c.school, c.classTeacher, "student"), 200, "")
		if _, in := s.listRoles(classes+c.class+"/members", c.owner)[c.classTeacher.ID]; in {
			t.Error("still teaches")
		}
		if got := s.listRoles(classes+second+"/members", c.owner)[c.classTeacher.ID]; got != "student" {
			t.Errorf("is %q in the class as whose student they were", got)
		}
		s.expect(request{Method: "PATCH", Path: classes + c.class, Token: c.classTeacher.Token, Body: map[string]string{"name": "x"}}, 403, "forbidden")
	})
	t.Run("leaving the school leaves its classes", func(t *testing.T) {
		s := s.withT(t)
		s.expect(removeMemberRequest(c.classStudent, c.school, c.classStudent), 204, "")
		if _, in := s.listRoles(classes+c.class+"/members", c.owner)[c.classStudent.ID]; in {
			t.Error("still in the class")
		}
		s.expect(request{Method: "GET", Path: classes + c.class, Token: c.classStudent.Token}, 404, "not_found")
	})
	t.Run("deleted class is not found", func(t *testing.T) {
		s := s.withT(t)
		s.expect(archiveClassRequest(c.admin, c.class, "7b"), 204, "")
		for _, r := range []request{
			{Method: "GET", Path: classes + c.class}, {Method: "GET", Path: classes + c.class + "/members"}, archiveClassRequest(c.owner, c.class, "7b"),
			{Method: "PATCH", Path: classes + c.class, Body: map[string]string{"name": "x"}}, putClassMemberRequest(c.owner, c.class, c.inClass, "student"),
		} {
			r.Token = c.owner.Token
			s.expect(r, 404, "not_found")
		}
	})
	t.Run("deleting a school deletes its classes", func(t *testing.T) {
		s := s.withT(t)
		class := s.createClass(c.owner, c.school, "9")
		s.expect(putClassMemberRequest(c.owner, class, c.inClass, "student"), 201, "")
		s.expect(request{Method: "GET", Path: classes + class, Token: c.inClass.Token}, 200, "") // now it is in the cache
		s.expect(archiveSchoolRequest(c.owner, c.school, "Lakeside"), 204, "")
		for _, p := range []person{c.owner, c.inClass} {
			for _, r := range []request{
				{Method: "GET", Path: classes + class}, {Method: "GET", Path: classes + class + "/members"}, archiveClassRequest(p, class, "9"),
				{Method: "GET", Path: schools + "/" + c.school}, {Method: "GET", Path: schools + "/" + c.school + "/classes"}, archiveSchoolRequest(p, c.school, "Lakeside"),
				putClassMemberRequest(p, class, c.inClass, "student"), setRoleRequest(p, c.school, c.inClass, "teacher"),
			} {
				r.Token = p.Token
				s.expect(r, 404, "not_found")
			}
			if list := s.expect(request{Method: "GET", Path: schools, Token: p.Token}, 200, "").Items(); len(list) != 0 {
				t.Errorf("still lists %v", list)
			}
		}
	})
}
