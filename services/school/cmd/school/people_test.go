package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgo/pkg/event"
	"pgo/pkg/testing/testkit"
)

func (env *testEnv) userEvent(t testing.TB, typ string, p person, sequence int64, name string) event.Event {
	t.Helper()
	e, err := event.New(t.Context(), "user", typ, p.ID, sequence, map[string]any{"id": p.ID, "name": name, "email": "x@example.org", "role": "user", "status": "active", "later_field": 1})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// awaitHandled waits until the service has handled the events.
func (s *testClient) awaitHandled(events ...event.Event) {
	s.t.Helper()
	for _, e := range events {
		s.awaitRow("SELECT TRUE FROM pgo_inbox WHERE event_id = ?", e.ID)
	}
}

// listNames returns the names on a list of people, "-" for one that is null.
func (s *testClient) listNames(path string, as person) (names []string) {
	s.t.Helper()
	for _, item := range s.expect(request{Method: "GET", Path: path, Token: as.Token}, 200, "").Items() {
		name, known := item["name"].(string)
		if !known {
			name = "-"
		}
		names = append(names, name)
	}
	return names
}

func TestNamesOnLists(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	owner := env.personWithName(t, s, "Olga")
	id := s.createSchool(owner)
	zoe, adam, unknown, bob := env.personWithName(t, s, "Zoë"), env.personWithName(t, s, "adam"), env.person(t), env.personWithName(t, s, "Bob 50%_\\")
	s.addMembers(owner, id, "student", zoe, adam, unknown)
	s.addMembers(owner, id, "teacher", bob)
	class := s.createClass(owner, id, "7b")
	for _, p := range []person{zoe, adam, unknown} {
		s.expect(putClassMemberRequest(owner, class, p, "student"), 201, "")
	}
	s.expect(putClassMemberRequest(owner, class, bob, "teacher"), 201, "")
	members, inClass := schools+"/"+id+"/members", classes+class+"/members"
	for path, want := range map[string][]string{
		members: {"-", "adam", "Bob 50%_\\", "Olga", "Zoë"}, members + "?role=student": {"-", "adam", "Zoë"}, members + "?q=zo": {"Zoë"}, members + "?q=A": {"adam"},
		members + "?q=Bob%2050%25_": {"Bob 50%_\\"}, members + "?q=%25": nil, members + "?q=_": nil, members + "?q=%5C": nil, members + "?q=a&role=teacher": nil, members + "?q=%F0%9F%8E%88": nil,
		inClass: {"-", "adam", "Bob 50%_\\", "Zoë"}, inClass + "?role=teacher": {"Bob 50%_\\"},
	} {
		if got := s.listNames(path, owner); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
	t.Run("renames reach lists", func(t *testing.T) {
		s := s.withT(t)
		first, second := env.userEvent(t, "user.updated.v1", adam, 2, "Yves"), env.userEvent(t, "user.disabled.v1", unknown, 1, "Xenia")
		env.Deliver(t, first, second)
		s.awaitHandled(first, second)
		for path, want := range map[string][]string{members: {"Bob 50%_\\", "Olga", "Xenia", "Yves", "Zoë"}, inClass: {"Bob 50%_\\", "Xenia", "Yves", "Zoë"}, members + "?q=adam": nil} {
			if got := s.listNames(path, owner); !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", path, got, want)
			}
		}
	})
	t.Run("old and repeated events change nothing", func(t *testing.T) {
		s := s.withT(t)
		newest, old := env.userEvent(t, "user.updated.v1", zoe, 9, "Newest"), env.userEvent(t, "user.updated.v1", zoe, 8, "Old")
		env.Deliver(t, newest, old, newest, env.userEvent(t, "user.created.v1", zoe, 1, "Zoë"))
		s.awaitHandled(newest, old)
		marker := env.userEvent(t, "user.updated.v1", bob, 2, "Bob")
		env.Deliver(t, marker) // behind them in the queue
		s.awaitHandled(marker)
		if got := s.listNames(members, owner); !slices.Equal(got, []string{"Bob", "Newest", "Olga", "Xenia", "Yves"}) {
			t.Errorf("got %v", got)
		}
	})
	t.Run("names of any script are kept, and long ones cut", func(t *testing.T) {
		s := s.withT(t)
		long := strings.Repeat("🎈", 150)
		for i, name := range []string{"李小龙", "👩‍👩‍👧‍👦 Family", "שָׁלוֹם", "O'Brien \"Bob\" <b>", long} {
			e := env.userEvent(t, "user.updated.v1", zoe, int64(20+i), name)
			env.Deliver(t, e)
			s.awaitHandled(e)
			want := name
			if name == long {
				want = strings.Repeat("🎈", 100)
			}
			if got := s.listNames(members, owner); !slices.Contains(got, want) {
				t.Errorf("%s is not among %v", want, got)
			}
		}
	})
}

// TestPages reads lists in pages of every size, and finds each person once, in order, also where names are equal.
func TestPages(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	owner := env.person(t)
	id := s.createSchool(owner)
	class := s.createClass(owner, id, "0")
	names := []string{"Ada", "ada", "Äda", "Bob", "Bob", "", "", "Zed"}
	for i, name := range names {
		p := env.person(t)
		if name != "" {
			p = env.personWithName(t, s, name)
		}
		s.addMembers(owner, id, "student", p)
		s.expect(putClassMemberRequest(owner, class, p, "student"), 201, "")
		s.createClass(owner, id, fmt.Sprint(i))
		s.createSchool(owner)
	}
	for path, want := range map[string]int{
		schools: 9, schools + "/" + id + "/members": 9, schools + "/" + id + "/members?role=student": 8, schools + "/" + id + "/members?q=a": 3,
		schools + "/" + id + "/classes": 9, schools + "/" + id + "/invites": 8, classes + class + "/members": 8, classes + class + "/members?role=student": 8,
	} {
		t.Run(path[len("/api/v1"):], func(t *testing.T) {
			s := s.withT(t)
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			whole := s.expect(request{Method: "GET", Path: path + sep + "limit=100", Token: owner.Token}, 200, "")
			if len(whole.Items()) != want || whole.JSON["next_cursor"] != nil {
				t.Fatalf("%d items and cursor %v, want %d", len(whole.Items()), whole.JSON["next_cursor"], want)
			}
			for limit := 1; limit <= want; limit++ {
				var got []map[string]any
				for cursor := ""; ; {
					p := s.expect(request{Method: "GET", Path: fmt.Sprintf("%s%slimit=%d&cursor=%s", path, sep, limit, cursor), Token: owner.Token}, 200, "")
					got = append(got, p.Items()...)
					if p.JSON["next_cursor"] == nil {
						break
					}
					cursor = p.Text("next_cursor")
				}
				if fmt.Sprint(got) != fmt.Sprint(whole.Items()) {
					t.Fatalf("pages of %d give %v\nwant %v", limit, got, whole.Items())
				}
			}
		})
	}
}

func TestDeletedUserLeavesSchoolsAndClasses(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s, _ := env.start(t), env.start(t) // two consumers
	watcher := env.RecordEvents(t, "#")
	c := env.createCampus(t, s)
	other := s.createSchool(c.otherOwner)
	s.addMembers(c.otherOwner, other, "teacher", c.classTeacher)
	before := s.queryInt("SELECT sequence FROM schools WHERE id = ?", c.school)

	deleted := env.userEvent(t, "user.deleted.v1", c.classTeacher, 5, "")
	env.Deliver(t, deleted, deleted, env.userEvent(t, "user.updated.v1", c.classTeacher, 4, "Late"), deleted)
	s.awaitHandled(deleted)
	testkit.Eventually(t, "the end of the memberships", func() error {
		if n := s.queryInt("SELECT (SELECT COUNT(*) FROM school_members WHERE user_id = ?) + (SELECT COUNT(*) FROM class_members WHERE user_id = ?)", c.classTeacher.ID, c.classTeacher.ID); n > 0 {
			return fmt.Errorf("%d memberships", n)
		}
		return nil
	})
	s.expect(request{Method: "GET", Path: schools + "/" + c.school, Token: c.classTeacher.Token}, 404, "not_found")
	for subject, typ := range map[string]string{c.school: "school.member_removed.v1", other: "school.member_removed.v1", c.class: "class.member_removed.v1"} {
		watcher.Await(t, func(e event.Event) bool {
			return e.Subject == subject && e.Type == typ && strings.Contains(string(e.Data), c.classTeacher.ID)
		})
	}
	late := env.userEvent(t, "user.created.v1", c.classTeacher, 1, "Later still")
	again := env.userEvent(t, "user.deleted.v1", c.classTeacher, 6, "") // as a publisher might repeat it
	env.Deliver(t, late, again)
	s.awaitHandled(late, again)
	if after := s.queryInt("SELECT sequence FROM schools WHERE id = ?", c.school); after != before+1 {
		t.Errorf("%d events about the school instead of 1", after-before)
	}
	t.Run("token of a deleted user cannot join or create", func(t *testing.T) {
		s := s.withT(t)
		s.expect(acceptRequest(c.classTeacher, c.code), 401, "unauthenticated")
		s.expect(request{Method: "POST", Path: schools, Token: c.classTeacher.Token, Body: map[string]string{"name": "New", "timezone": "UTC"}}, 401, "unauthenticated")
		s.expect(putClassMemberRequest(c.owner, c.class, c.classTeacher, "teacher"), 409, "not_a_school_member")
		if uses := s.queryInt("SELECT uses FROM invites WHERE code = ?", c.code); uses != 0 {
			t.Errorf("the invite has %d uses", uses)
		}
	})
	t.Run("user deleted before the first event cannot join", func(t *testing.T) {
		s := s.withT(t)
		p := env.person(t)
		gone, created := env.userEvent(t, "user.deleted.v1", p, 2, ""), env.userEvent(t, "user.created.v1", p, 1, "Ghost")
		env.Deliver(t, gone, created)
		s.awaitHandled(gone, created)
		s.expect(acceptRequest(p, c.code), 401, "unauthenticated")
	})
}

// TestAcceptInviteDuringAccountDeletion lets people accept invites at the moment of their deletion: none of them stays.
func TestAcceptInviteDuringAccountDeletion(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	owner := env.person(t)
	id := s.createSchool(owner)
	code := s.createInvite(owner, id, "student", 1000)
	var people []person
	var accepts []request
	var events []event.Event
	for range 30 {
		p := env.person(t)
		people, accepts, events = append(people, p), append(accepts, acceptRequest(p, code)), append(events, env.userEvent(t, "user.deleted.v1", p, 2, ""))
	}
	done := make(chan []response, 1)
	go func() { done <- s.sendParallel(accepts...) }()
	env.Deliver(t, events...)
	for _, res := range <-done {
		if res.Status != 201 && res.Status != 401 {
			t.Errorf("got %d %s", res.Status, res.Body)
		}
	}
	s.awaitHandled(events...)
	for _, p := range people {
		if n := s.queryInt("SELECT COUNT(*) FROM school_members WHERE user_id = ?", p.ID); n > 0 {
			t.Errorf("%s is still a member", p.ID)
		}
	}
}

func TestSuccession(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	watcher := env.RecordEvents(t, "school.#")
	owner, young, old, teacher := env.person(t), env.person(t), env.person(t), env.person(t)
	root := env.personWithRole(t, "admin")
	id := s.createSchool(owner)
	path := schools + "/" + id
	s.addMembers(owner, id, "student", young)
	s.addMembers(owner, id, "admin", old)
	s.expect(setRoleRequest(owner, id, young, "admin"), 200, "") // a member for longer, and an admin for less
	s.addMembers(owner, id, "teacher", teacher)
	second := env.person(t)
	s.addMembers(owner, id, "owner", second)
	end := func(s *testClient, p person) {
		s.t.Helper()
		e := env.userEvent(s.t, "user.deleted.v1", p, 9, "")
		env.Deliver(s.t, e)
		s.awaitHandled(e)
	}
	t.Run("no successor while there is another owner", func(t *testing.T) {
		s := s.withT(t)
		end(s, second)
		if got := s.listRoles(path+"/members", owner); got[old.ID] != "admin" || got[young.ID] != "admin" || len(got) != 4 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("longest-serving admin succeeds", func(t *testing.T) {
		s := s.withT(t)
		end(s, owner)
		if got := s.listRoles(path+"/members", old); got[old.ID] != "owner" || got[young.ID] != "admin" || len(got) != 3 {
			t.Errorf("got %v", got)
		}
		end(s, old)
		if got := s.listRoles(path+"/members", young); got[young.ID] != "owner" || len(got) != 2 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("platform admin has no rights while there is an owner", func(t *testing.T) {
		s := s.withT(t)
		s.expect(request{Method: "GET", Path: path, Token: root.Token}, 404, "not_found")
	})
	t.Run("without admins the school is ownerless", func(t *testing.T) {
		s := s.withT(t)
		end(s, young)
		s.expect(request{Method: "GET", Path: path, Token: root.Token}, 200, "") // platform admins may see it now
		if got := s.expect(request{Method: "GET", Path: path, Token: teacher.Token}, 200, ""); got.JSON["ownerless"] != true {
			t.Errorf("got %s", got.Body)
		}
		watcher.Await(t, func(e event.Event) bool {
			return e.Subject == id && e.Type == "school.updated.v1" && strings.Contains(string(e.Data), `"ownerless":true`)
		})
		testkit.Eventually(t, "the warning", func() error {
			if len(s.Logs.LinesWith("has lost its last owner")) == 0 {
				return fmt.Errorf("not logged")
			}
			return nil
		})
	})
	t.Run("platform admin gives an ownerless school an owner", func(t *testing.T) {
		s := s.withT(t)
		s.expect(request{Method: "GET", Path: path, Token: root.Token}, 200, "")
		s.expect(request{Method: "GET", Path: path + "/classes", Token: root.Token}, 200, "")
		if got := s.listRoles(path+"/members", root); len(got) != 1 || got[teacher.ID] != "teacher" {
			t.Errorf("got %v", got)
		}
		s.expect(request{Method: "PATCH", Path: path, Token: root.Token, Body: map[string]string{"name": "x"}}, 403, "forbidden")
		s.expect(request{Method: "GET", Path: path + "/invites", Token: root.Token}, 403, "forbidden")
		s.expect(removeMemberRequest(root, id, teacher), 403, "forbidden")
		s.expect(setRoleRequest(env.person(t), id, teacher, "owner"), 404, "not_found")
		s.expect(setRoleRequest(teacher, id, teacher, "owner"), 403, "forbidden")
		s.expect(setRoleRequest(root, id, teacher, "owner"), 200, "")
		if got := s.expect(request{Method: "GET", Path: path, Token: teacher.Token}, 200, ""); got.JSON["ownerless"] != false {
			t.Errorf("got %s", got.Body)
		}
		s.expect(request{Method: "GET", Path: path, Token: root.Token}, 404, "not_found")
		s.expect(setRoleRequest(root, id, teacher, "student"), 404, "not_found")
	})
	t.Run("platform admin deletes an ownerless school", func(t *testing.T) {
		s := s.withT(t)
		end(s, teacher) // no member is left
		s.expect(request{Method: "GET", Path: path, Token: root.Token}, 200, "")
		s.expect(archiveSchoolRequest(root, id, "Lakeside"), 204, "")
		s.expect(request{Method: "GET", Path: path, Token: root.Token}, 404, "not_found")
		s.expect(request{Method: "POST", Path: path + "/restore", Token: root.Token}, 200, "")
		s.expect(request{Method: "GET", Path: path, Token: root.Token}, 200, "")
	})
}
