package main

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

// TestWhoMayChangeWhomToWhat is every pair of an admin or an owner with a member's role and the next one.
func TestWhoMayChangeWhomToWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	owner, admin := w.person(t), w.person(t)
	id := s.makeSchool(owner)
	s.join(owner, id, "admin", admin)
	roles := []string{"owner", "admin", "teacher", "student"}
	for _, was := range roles {
		target := w.person(t)
		s.join(owner, id, "student", target)
		for _, becomes := range append(roles, was) {
			t.Run(fmt.Sprintf("%s to %s", was, becomes), func(t *testing.T) {
				s := s.in(t)
				s.want(setRole(owner, id, target, was), 200, "")
				status, code := 200, ""
				if was == "owner" || becomes == "owner" {
					status, code = 403, "forbidden"
				}
				s.want(setRole(admin, id, target, becomes), status, code)
				if m := s.want(setRole(owner, id, target, becomes), 200, ""); m.Text("role") != becomes || m.Text("user_id") != target.ID || m.Text("school_id") != id {
					t.Errorf("got %s", m.Body)
				}
				if got := s.roles(schools+"/"+id+"/members", target)[target.ID]; got != becomes {
					t.Errorf("the list says %q", got)
				}
			})
		}
		t.Run("remove "+was, func(t *testing.T) {
			s := s.in(t)
			s.want(setRole(owner, id, target, was), 200, "")
			if was == "owner" {
				s.want(removeMember(admin, id, target), 403, "forbidden")
			}
			s.want(removeMember(owner, id, target), 204, "")
			s.want(removeMember(owner, id, target), 404, "not_found")
			s.want(request{Method: "GET", Path: schools + "/" + id, Token: target.Token}, 404, "not_found")
		})
	}
	s.want(setRole(admin, id, admin, "teacher"), 200, "") // who gives it up is not stopped
	s.want(setRole(admin, id, admin, "admin"), 403, "forbidden")
}

func TestTheLastOwnerStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	owner, admin, second := w.person(t), w.person(t), w.person(t)
	id := s.makeSchool(owner)
	s.join(owner, id, "admin", admin)
	for _, role := range []string{"admin", "teacher", "student"} {
		s.want(setRole(owner, id, owner, role), 409, "last_owner")
	}
	s.want(removeMember(owner, id, owner), 409, "last_owner")
	s.join(owner, id, "owner", second)
	s.want(removeMember(owner, id, owner), 204, "")
	s.want(removeMember(second, id, second), 409, "last_owner")
	s.want(setRole(second, id, second, "owner"), 200, "") // which changes nothing
}

// TestTwoOwnersCannotRemoveEachOther lets the last two owners end their own or each other's role at once, on two
// instances: one of them stays, always.
func TestTwoOwnersCannotRemoveEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.start(t), w.start(t)
	ways := []func(id string, by, who person) request{
		func(id string, by, who person) request { return setRole(by, id, who, "student") },
		func(id string, by, who person) request { return removeMember(by, id, who) },
	}
	for round := range 16 {
		first, second := w.person(t), w.person(t)
		id := a.makeSchool(first)
		a.join(first, id, "owner", second)
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
		answers := []response{a.do(one), <-done}
		changed := 0
		for _, res := range answers {
			switch {
			case res.Status < 300:
				changed++
			case res.Code() != "last_owner" && res.Status != 403 && res.Status != 404:
				t.Errorf("round %d: %d %s", round, res.Status, res.Body)
			}
		}
		if owners := a.count("SELECT COUNT(*) FROM school_members WHERE school_id = ? AND role = 'owner'", id); owners != 1 || changed != 1 {
			t.Fatalf("round %d: %d owners left, %d changes; want 1 and 1", round, owners, changed)
		}
	}
}

func TestInvites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	owner := w.person(t)
	id := s.makeSchool(owner)
	path := schools + "/" + id + "/invites"
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	made := s.want(request{Method: "POST", Path: path, Token: owner.Token, Body: map[string]any{"role": "teacher", "max_uses": 2, "expires_at": expires.In(time.FixedZone("", 3600))}}, 201, "")
	code := made.Text("code")
	if len(code) < 16 || strings.ContainsAny(code, "/+=?&%") {
		t.Errorf("code %q", code)
	}
	want := map[string]any{"code": code, "school_id": id, "role": "teacher", "max_uses": 2.0, "uses": 0.0, "expires_at": expires.Format(time.RFC3339), "created_by": owner.ID, "created_at": made.Text("created_at")}
	if !maps.Equal(made.JSON, want) {
		t.Errorf("made %v, want %v", made.JSON, want)
	}
	a, b, c := w.person(t), w.person(t), w.person(t)
	m := s.accept(a, code)
	if m.Text("role") != "teacher" || m.Text("user_id") != a.ID || m.Text("school_id") != id || m.JSON["name"] != nil || m.Header.Get("ETag") == "" {
		t.Errorf("accepted as %s", m.Body)
	}
	s.want(accept(a, code), 409, "already_member")
	s.want(accept(owner, code), 409, "already_member")
	s.accept(b, code)
	s.want(accept(a, code), 409, "already_member")
	s.want(accept(c, code), 410, "invite_used_up")
	want["uses"] = 2.0
	list := s.want(request{Method: "GET", Path: path, Token: owner.Token}, 200, "")
	if items := list.Items(); len(items) != 1 || !maps.Equal(items[0], want) {
		t.Errorf("listed as %s, want %v", list.Body, want)
	}
	s.want(removeMember(b, id, b), 204, "")
	s.want(accept(b, code), 410, "invite_used_up") // who leaves gives nothing back

	second := s.invite(owner, id, "student", 5)
	if _, err := s.DB.Exec("UPDATE invites SET expires_at = UTC_TIMESTAMP(6) WHERE code = ?", second); err != nil {
		t.Fatal(err)
	}
	s.want(accept(c, second), 410, "invite_expired")
	s.want(accept(a, second), 409, "already_member")
	third := s.invite(owner, id, "student", 5)
	s.want(request{Method: "DELETE", Path: invites + third, Token: owner.Token}, 204, "")
	s.want(request{Method: "DELETE", Path: invites + third, Token: owner.Token}, 404, "not_found")
	s.want(accept(c, third), 404, "not_found")
	s.want(accept(c, strings.ToLower(code)), 404, "not_found")
	fourth := s.invite(owner, id, "student", 5)
	s.want(request{Method: "DELETE", Path: schools + "/" + id, Token: owner.Token}, 204, "")
	s.want(accept(c, fourth), 404, "not_found")
	s.want(request{Method: "DELETE", Path: invites + fourth, Token: owner.Token}, 404, "not_found")
}

// TestAnInviteIsNeverUsedMoreOftenThanAllowed lets 40 people accept an invite for 5 at once, on two instances, and
// one person 10 times at once.
func TestAnInviteIsNeverUsedMoreOftenThanAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.start(t), w.start(t)
	owner := w.person(t)
	id := a.makeSchool(owner)
	code := a.invite(owner, id, "student", 5)
	var half [2][]request
	for i := range 40 {
		half[i%2] = append(half[i%2], accept(w.person(t), code))
	}
	other := make(chan []response, 1)
	go func() { other <- b.together(half[1]...) }()
	count := map[string]int{}
	for _, res := range append(a.together(half[0]...), <-other...) {
		count[fmt.Sprint(res.Status, res.Code())]++
	}
	if count["201"] != 5 || count["410invite_used_up"] != 35 {
		t.Errorf("answers are %v, want 5 of 201 and 35 of 410 invite_used_up", count)
	}
	if members, uses := a.count("SELECT COUNT(*) FROM school_members WHERE school_id = ? AND role = 'student'", id), a.count("SELECT uses FROM invites WHERE code = ?", code); members != 5 || uses != 5 {
		t.Errorf("%d members by %d uses", members, uses)
	}
	code, eager := a.invite(owner, id, "student", 10), w.person(t)
	var again []request
	for range 10 {
		again = append(again, accept(eager, code))
	}
	count = map[string]int{}
	for _, res := range a.together(again...) {
		count[fmt.Sprint(res.Status, res.Code())]++
	}
	if uses := a.count("SELECT uses FROM invites WHERE code = ?", code); count["201"] != 1 || count["409already_member"] != 9 || uses != 1 {
		t.Errorf("answers are %v with %d uses, want one 201", count, uses)
	}
}

func TestClasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	c := w.campus(t, s)
	t.Run("a student of the school teaches no class", func(t *testing.T) {
		res := s.in(t).want(putInClass(c.owner, c.class, c.target, "teacher"), 422, "validation_failed")
		if !strings.Contains(string(res.Body), `"field":"role","code":"not_allowed"`) {
			t.Errorf("says %s", res.Body)
		}
		s.in(t).want(putInClass(c.classTeacher, c.class, c.classStudent, "teacher"), 422, "validation_failed")
	})
	t.Run("only members of the school are in its classes", func(t *testing.T) {
		for _, p := range []person{c.outsider, c.stranger, c.root} {
			s.in(t).want(putInClass(c.owner, c.class, p, "student"), 409, "not_a_school_member")
		}
	})
	t.Run("a role changes", func(t *testing.T) {
		s := s.in(t)
		s.want(putInClass(c.classTeacher, c.class, c.teacher, "student"), 201, "")
		s.want(putInClass(c.classTeacher, c.class, c.teacher, "teacher"), 200, "")
		if got := s.roles(classes+c.class+"/members", c.teacher)[c.teacher.ID]; got != "teacher" {
			t.Errorf("is %q", got)
		}
		s.want(removeFromClass(c.teacher, c.class, c.teacher), 204, "") // a teacher of the class, so also themself
		s.want(removeFromClass(c.owner, c.class, c.teacher), 404, "not_found")
		s.want(removeFromClass(c.classStudent, c.class, c.classStudent), 403, "forbidden")
	})
	t.Run("who becomes a student teaches no more", func(t *testing.T) {
		s := s.in(t)
		second := s.makeClass(c.admin, c.school, "8a")
		s.want(putInClass(c.owner, second, c.classTeacher, "student"), 201, "")
		s.want(setRole(c.admin, c.school, c.classTeacher, "student"), 200, "")
		if _, in := s.roles(classes+c.class+"/members", c.owner)[c.classTeacher.ID]; in {
			t.Error("still teaches")
		}
		if got := s.roles(classes+second+"/members", c.owner)[c.classTeacher.ID]; got != "student" {
			t.Errorf("is %q in the class as whose student they were", got)
		}
		s.want(request{Method: "PATCH", Path: classes + c.class, Token: c.classTeacher.Token, Body: map[string]string{"name": "x"}}, 403, "forbidden")
	})
	t.Run("who leaves the school leaves its classes", func(t *testing.T) {
		s := s.in(t)
		s.want(removeMember(c.classStudent, c.school, c.classStudent), 204, "")
		if _, in := s.roles(classes+c.class+"/members", c.owner)[c.classStudent.ID]; in {
			t.Error("still in the class")
		}
		s.want(request{Method: "GET", Path: classes + c.class, Token: c.classStudent.Token}, 404, "not_found")
	})
	t.Run("a deleted class is gone", func(t *testing.T) {
		s := s.in(t)
		s.want(request{Method: "DELETE", Path: classes + c.class, Token: c.admin.Token}, 204, "")
		for _, r := range []request{
			{Method: "GET", Path: classes + c.class}, {Method: "GET", Path: classes + c.class + "/members"}, {Method: "DELETE", Path: classes + c.class},
			{Method: "PATCH", Path: classes + c.class, Body: map[string]string{"name": "x"}}, putInClass(c.owner, c.class, c.inClass, "student"),
		} {
			r.Token = c.owner.Token
			s.want(r, 404, "not_found")
		}
	})
	t.Run("a deleted school takes its classes with it", func(t *testing.T) {
		s := s.in(t)
		class := s.makeClass(c.owner, c.school, "9")
		s.want(putInClass(c.owner, class, c.inClass, "student"), 201, "")
		s.want(request{Method: "GET", Path: classes + class, Token: c.inClass.Token}, 200, "") // now it is in the cache
		s.want(request{Method: "DELETE", Path: schools + "/" + c.school, Token: c.owner.Token}, 204, "")
		for _, p := range []person{c.owner, c.inClass} {
			for _, r := range []request{
				{Method: "GET", Path: classes + class}, {Method: "GET", Path: classes + class + "/members"}, {Method: "DELETE", Path: classes + class},
				{Method: "GET", Path: schools + "/" + c.school}, {Method: "GET", Path: schools + "/" + c.school + "/classes"}, {Method: "DELETE", Path: schools + "/" + c.school},
				putInClass(p, class, c.inClass, "student"), setRole(p, c.school, c.inClass, "teacher"),
			} {
				r.Token = p.Token
				s.want(r, 404, "not_found")
			}
			if list := s.want(request{Method: "GET", Path: schools, Token: p.Token}, 200, "").Items(); len(list) != 0 {
				t.Errorf("still lists %v", list)
			}
		}
	})
}
