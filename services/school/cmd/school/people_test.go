package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgo/pkg/event"
	"pgo/pkg/testing/testkit"
)

func (w *world) user(t testing.TB, typ string, p person, sequence int64, name string) event.Event {
	t.Helper()
	e, err := event.New(t.Context(), "user", typ, p.ID, sequence, map[string]any{"id": p.ID, "name": name, "email": "x@example.org", "role": "user", "status": "active", "later_field": 1})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// handled waits until the service has had the events.
func (s *testClient) handled(events ...event.Event) {
	s.t.Helper()
	for _, e := range events {
		s.awaitRow("SELECT TRUE FROM pgo_inbox WHERE event_id = ?", e.ID)
	}
}

// names returns the names on a list of people, "-" for one that is null.
func (s *testClient) names(path string, as person) (names []string) {
	s.t.Helper()
	for _, item := range s.want(request{Method: "GET", Path: path, Token: as.Token}, 200, "").Items() {
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
	w := newWorld(t)
	s := w.start(t)
	owner := w.named(t, s, "Olga")
	id := s.makeSchool(owner)
	zoe, adam, unknown, bob := w.named(t, s, "Zoë"), w.named(t, s, "adam"), w.person(t), w.named(t, s, "Bob 50%_\\")
	s.join(owner, id, "student", zoe, adam, unknown)
	s.join(owner, id, "teacher", bob)
	class := s.makeClass(owner, id, "7b")
	for _, p := range []person{zoe, adam, unknown} {
		s.want(putInClass(owner, class, p, "student"), 201, "")
	}
	s.want(putInClass(owner, class, bob, "teacher"), 201, "")
	members, inClass := schools+"/"+id+"/members", classes+class+"/members"
	for path, want := range map[string][]string{
		members: {"-", "adam", "Bob 50%_\\", "Olga", "Zoë"}, members + "?role=student": {"-", "adam", "Zoë"}, members + "?q=zo": {"Zoë"}, members + "?q=A": {"adam"},
		members + "?q=Bob%2050%25_": {"Bob 50%_\\"}, members + "?q=%25": nil, members + "?q=_": nil, members + "?q=%5C": nil, members + "?q=a&role=teacher": nil, members + "?q=%F0%9F%8E%88": nil,
		inClass: {"-", "adam", "Bob 50%_\\", "Zoë"}, inClass + "?role=teacher": {"Bob 50%_\\"},
	} {
		if got := s.names(path, owner); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
	t.Run("renames reach lists", func(t *testing.T) {
		s := s.in(t)
		first, second := w.user(t, "user.updated.v1", adam, 2, "Yves"), w.user(t, "user.disabled.v1", unknown, 1, "Xenia")
		w.Deliver(t, first, second)
		s.handled(first, second)
		for path, want := range map[string][]string{members: {"Bob 50%_\\", "Olga", "Xenia", "Yves", "Zoë"}, inClass: {"Bob 50%_\\", "Xenia", "Yves", "Zoë"}, members + "?q=adam": nil} {
			if got := s.names(path, owner); !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", path, got, want)
			}
		}
	})
	t.Run("what is older or comes again changes nothing", func(t *testing.T) {
		s := s.in(t)
		newest, old := w.user(t, "user.updated.v1", zoe, 9, "Newest"), w.user(t, "user.updated.v1", zoe, 8, "Old")
		w.Deliver(t, newest, old, newest, w.user(t, "user.created.v1", zoe, 1, "Zoë"))
		s.handled(newest, old)
		marker := w.user(t, "user.updated.v1", bob, 2, "Bob")
		w.Deliver(t, marker) // behind them in the queue
		s.handled(marker)
		if got := s.names(members, owner); !slices.Equal(got, []string{"Bob", "Newest", "Olga", "Xenia", "Yves"}) {
			t.Errorf("got %v", got)
		}
	})
	t.Run("any script comes through, and too much is cut", func(t *testing.T) {
		s := s.in(t)
		long := strings.Repeat("🎈", 150)
		for i, name := range []string{"李小龙", "👩‍👩‍👧‍👦 Family", "שָׁלוֹם", "O'Brien \"Bob\" <b>", long} {
			e := w.user(t, "user.updated.v1", zoe, int64(20+i), name)
			w.Deliver(t, e)
			s.handled(e)
			want := name
			if name == long {
				want = strings.Repeat("🎈", 100)
			}
			if got := s.names(members, owner); !slices.Contains(got, want) {
				t.Errorf("%s is not among %v", want, got)
			}
		}
	})
}

// TestPages reads lists in pages of every size, and finds everybody once, in order, also where names are equal.
func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	owner := w.person(t)
	id := s.makeSchool(owner)
	class := s.makeClass(owner, id, "0")
	names := []string{"Ada", "ada", "Äda", "Bob", "Bob", "", "", "Zed"}
	for i, name := range names {
		p := w.person(t)
		if name != "" {
			p = w.named(t, s, name)
		}
		s.join(owner, id, "student", p)
		s.want(putInClass(owner, class, p, "student"), 201, "")
		s.makeClass(owner, id, fmt.Sprint(i))
		s.makeSchool(owner)
	}
	for path, want := range map[string]int{
		schools: 9, schools + "/" + id + "/members": 9, schools + "/" + id + "/members?role=student": 8, schools + "/" + id + "/members?q=a": 3,
		schools + "/" + id + "/classes": 9, schools + "/" + id + "/invites": 8, classes + class + "/members": 8, classes + class + "/members?role=student": 8,
	} {
		t.Run(path[len("/api/v1"):], func(t *testing.T) {
			s := s.in(t)
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			whole := s.want(request{Method: "GET", Path: path + sep + "limit=100", Token: owner.Token}, 200, "")
			if len(whole.Items()) != want || whole.JSON["next_cursor"] != nil {
				t.Fatalf("%d items and cursor %v, want %d", len(whole.Items()), whole.JSON["next_cursor"], want)
			}
			for limit := 1; limit <= want; limit++ {
				var got []map[string]any
				for cursor := ""; ; {
					p := s.want(request{Method: "GET", Path: fmt.Sprintf("%s%slimit=%d&cursor=%s", path, sep, limit, cursor), Token: owner.Token}, 200, "")
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

func TestADeletedPersonLeavesEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, _ := w.start(t), w.start(t) // two consumers
	watcher := w.RecordEvents(t, "#")
	c := w.campus(t, s)
	other := s.makeSchool(c.stranger)
	s.join(c.stranger, other, "teacher", c.classTeacher)
	before := s.count("SELECT sequence FROM schools WHERE id = ?", c.school)

	deleted := w.user(t, "user.deleted.v1", c.classTeacher, 5, "")
	w.Deliver(t, deleted, deleted, w.user(t, "user.updated.v1", c.classTeacher, 4, "Late"), deleted)
	s.handled(deleted)
	testkit.Eventually(t, "the person's end", func() error {
		if n := s.count("SELECT (SELECT COUNT(*) FROM school_members WHERE user_id = ?) + (SELECT COUNT(*) FROM class_members WHERE user_id = ?)", c.classTeacher.ID, c.classTeacher.ID); n > 0 {
			return fmt.Errorf("%d memberships", n)
		}
		return nil
	})
	s.want(request{Method: "GET", Path: schools + "/" + c.school, Token: c.classTeacher.Token}, 404, "not_found")
	for subject, typ := range map[string]string{c.school: "school.member_removed.v1", other: "school.member_removed.v1", c.class: "class.member_removed.v1"} {
		watcher.Await(t, func(e event.Event) bool {
			return e.Subject == subject && e.Type == typ && strings.Contains(string(e.Data), c.classTeacher.ID)
		})
	}
	late := w.user(t, "user.created.v1", c.classTeacher, 1, "Later still")
	again := w.user(t, "user.deleted.v1", c.classTeacher, 6, "") // as a publisher might say it twice
	w.Deliver(t, late, again)
	s.handled(late, again)
	if after := s.count("SELECT sequence FROM schools WHERE id = ?", c.school); after != before+1 {
		t.Errorf("%d events about the school instead of 1", after-before)
	}
	t.Run("whose token still lives joins and makes nothing", func(t *testing.T) {
		s := s.in(t)
		s.want(accept(c.classTeacher, c.code), 401, "unauthenticated")
		s.want(request{Method: "POST", Path: schools, Token: c.classTeacher.Token, Body: map[string]string{"name": "New", "timezone": "UTC"}}, 401, "unauthenticated")
		s.want(putInClass(c.owner, c.class, c.classTeacher, "teacher"), 409, "not_a_school_member")
		if uses := s.count("SELECT uses FROM invites WHERE code = ?", c.code); uses != 0 {
			t.Errorf("the invite has %d uses", uses)
		}
	})
	t.Run("who was deleted before they were known stays out", func(t *testing.T) {
		s := s.in(t)
		p := w.person(t)
		gone, created := w.user(t, "user.deleted.v1", p, 2, ""), w.user(t, "user.created.v1", p, 1, "Ghost")
		w.Deliver(t, gone, created)
		s.handled(gone, created)
		s.want(accept(p, c.code), 401, "unauthenticated")
	})
}

// TestAcceptMeetsDeletion lets people accept invites at the moment of their deletion: none of them stays.
func TestAcceptMeetsDeletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	owner := w.person(t)
	id := s.makeSchool(owner)
	code := s.invite(owner, id, "student", 1000)
	var people []person
	var accepts []request
	var events []event.Event
	for range 30 {
		p := w.person(t)
		people, accepts, events = append(people, p), append(accepts, accept(p, code)), append(events, w.user(t, "user.deleted.v1", p, 2, ""))
	}
	done := make(chan []response, 1)
	go func() { done <- s.together(accepts...) }()
	w.Deliver(t, events...)
	for _, res := range <-done {
		if res.Status != 201 && res.Status != 401 {
			t.Errorf("got %d %s", res.Status, res.Body)
		}
	}
	s.handled(events...)
	for _, p := range people {
		if n := s.count("SELECT COUNT(*) FROM school_members WHERE user_id = ?", p.ID); n > 0 {
			t.Errorf("%s is still a member", p.ID)
		}
	}
}

func TestSuccession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.start(t)
	watcher := w.RecordEvents(t, "school.#")
	owner, young, old, teacher := w.person(t), w.person(t), w.person(t), w.person(t)
	root := w.withRole(t, "admin")
	id := s.makeSchool(owner)
	path := schools + "/" + id
	s.join(owner, id, "student", young)
	s.join(owner, id, "admin", old)
	s.want(setRole(owner, id, young, "admin"), 200, "") // a member for longer, and an admin for less
	s.join(owner, id, "teacher", teacher)
	second := w.person(t)
	s.join(owner, id, "owner", second)
	end := func(s *testClient, p person) {
		s.t.Helper()
		e := w.user(s.t, "user.deleted.v1", p, 9, "")
		w.Deliver(s.t, e)
		s.handled(e)
	}
	t.Run("while there is another owner nobody follows", func(t *testing.T) {
		s := s.in(t)
		end(s, second)
		if got := s.roles(path+"/members", owner); got[old.ID] != "admin" || got[young.ID] != "admin" || len(got) != 4 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("who has been an admin for the longest time follows", func(t *testing.T) {
		s := s.in(t)
		end(s, owner)
		if got := s.roles(path+"/members", old); got[old.ID] != "owner" || got[young.ID] != "admin" || len(got) != 3 {
			t.Errorf("got %v", got)
		}
		end(s, old)
		if got := s.roles(path+"/members", young); got[young.ID] != "owner" || len(got) != 2 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("a platform admin has no rights while there is an owner", func(t *testing.T) {
		s := s.in(t)
		s.want(request{Method: "GET", Path: path, Token: root.Token}, 404, "not_found")
	})
	t.Run("without admins the school is ownerless", func(t *testing.T) {
		s := s.in(t)
		end(s, young)
		s.want(request{Method: "GET", Path: path, Token: root.Token}, 200, "") // who may see it now
		if got := s.want(request{Method: "GET", Path: path, Token: teacher.Token}, 200, ""); got.JSON["ownerless"] != true {
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
	t.Run("a platform admin cares for it until it has an owner", func(t *testing.T) {
		s := s.in(t)
		s.want(request{Method: "GET", Path: path, Token: root.Token}, 200, "")
		s.want(request{Method: "GET", Path: path + "/classes", Token: root.Token}, 200, "")
		if got := s.roles(path+"/members", root); len(got) != 1 || got[teacher.ID] != "teacher" {
			t.Errorf("got %v", got)
		}
		s.want(request{Method: "PATCH", Path: path, Token: root.Token, Body: map[string]string{"name": "x"}}, 403, "forbidden")
		s.want(request{Method: "GET", Path: path + "/invites", Token: root.Token}, 403, "forbidden")
		s.want(removeMember(root, id, teacher), 403, "forbidden")
		s.want(setRole(w.person(t), id, teacher, "owner"), 404, "not_found")
		s.want(setRole(teacher, id, teacher, "owner"), 403, "forbidden")
		s.want(setRole(root, id, teacher, "owner"), 200, "")
		if got := s.want(request{Method: "GET", Path: path, Token: teacher.Token}, 200, ""); got.JSON["ownerless"] != false {
			t.Errorf("got %s", got.Body)
		}
		s.want(request{Method: "GET", Path: path, Token: root.Token}, 404, "not_found")
		s.want(setRole(root, id, teacher, "student"), 404, "not_found")
	})
	t.Run("or deletes it", func(t *testing.T) {
		s := s.in(t)
		end(s, teacher) // nobody is left
		s.want(request{Method: "GET", Path: path, Token: root.Token}, 200, "")
		s.want(request{Method: "DELETE", Path: path, Token: root.Token}, 204, "")
		s.want(request{Method: "GET", Path: path, Token: root.Token}, 404, "not_found")
	})
}
