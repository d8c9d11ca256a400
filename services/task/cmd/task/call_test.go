package main

import (
	"fmt"
	"testing"
	"time"

	"pgo/pkg/testing/servicetest"
	"pgo/pkg/testing/testkit"
)

// call is one call of the API with what makes it succeed, and what becomes of it for others.
type call struct {
	name, method string
	on           string // the state of the task that it is about, "" for none
	path         func(c cast, id string) string
	body         func(c cast) map[string]any // nil: takes none
	optional     bool                        // fields may be missing
	may          []string                    // the fields that may be missing otherwise
	wrong        map[string][]any            // values of the right type that are refused
	list         bool                        // takes limit and cursor
	filters      map[string][]string         // and these, with values that are refused
	ok           int
	student      bool // made by a student, else by a teacher
	seen         bool // a read with an entity tag
	other        int  // the status for the other of student and teacher
	stranger     int  // and for everybody else, 404 where not said
	conflict     bool // may answer 409
}

func at(suffix string) func(cast, string) string {
	return func(_ cast, id string) string { return "/api/v1/tasks/" + id + suffix }
}

// calls is the Task section of the API.
func calls() []call {
	ofGraded := func(suffix string) func(cast, string) string {
		return func(c cast, id string) string {
			return "/api/v1/tasks/" + id + "/submissions/" + c.graded.ID + suffix
		}
	}
	list := func(cast, string) string { return "/api/v1/tasks" }
	taskFields := map[string][]any{
		"title": {"", " ", "a\nb", "\x00", string(make([]rune, 201)), "\u202eabc"}, "description": {"\x00", "\u202e"},
		"max_score": {0, -1, 1001}, "due_at": {"1999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"},
	}
	return []call{
		{name: "create", method: "POST", path: list, ok: 201, other: 403, body: func(c cast) map[string]any {
			return map[string]any{"class_id": c.class.ID, "title": "Chapter 3", "description": "Read.", "max_score": 20, "due_at": "2030-01-01T00:00:00Z"}
		}, may: []string{"description"}, wrong: merged(taskFields, map[string][]any{"class_id": {"", "x", "0190A000-0000-7000-8000-000000000000"}})},
		{name: "list", method: "GET", path: list, ok: 200, other: 200, stranger: 200, list: true, filters: map[string][]string{
			"status": {"nonsense", "DRAFT"}, "assigned": {"you", "true"}, "class_id": {"x", "0190A000-0000-7000-8000-000000000000"}, "due_before": {"tomorrow", "2030-01-01", "0001-01-01T00:00:00Z"},
		}},
		{name: "get a draft", method: "GET", on: "draft", path: at(""), ok: 200, other: 404, seen: true},
		{name: "get", method: "GET", on: "published", path: at(""), ok: 200, other: 200, seen: true},
		{name: "patch a draft", method: "PATCH", on: "draft", path: at(""), ok: 200, other: 404, optional: true, conflict: true, body: func(cast) map[string]any {
			return map[string]any{"title": "New", "description": "New.", "max_score": 10, "due_at": time.Now().Add(time.Minute)}
		}, wrong: taskFields},
		{name: "patch", method: "PATCH", on: "published", path: at(""), ok: 200, other: 403, optional: true, conflict: true, body: func(cast) map[string]any {
			return map[string]any{"title": "New", "description": "New.", "due_at": time.Now().Add(time.Minute)}
		}, wrong: taskFields},
		{name: "delete", method: "DELETE", on: "draft", path: at(""), ok: 204, other: 404, conflict: true},
		{name: "publish", method: "POST", on: "draft", path: at("/publish"), ok: 202, other: 404, conflict: true},
		{name: "close", method: "POST", on: "published", path: at("/close"), ok: 200, other: 403, conflict: true},
		{name: "hand in", method: "PUT", on: "published", path: at("/submission"), ok: 200, student: true, other: 403, conflict: true, body: func(cast) map[string]any {
			return map[string]any{"content": "a secret answer, better", "draft": false}
		}, may: []string{"draft"}, wrong: map[string][]any{"content": {"", " \n", "\x00", string(make([]byte, 64*1024+1))}}},
		{name: "my work", method: "GET", on: "published", path: at("/submission"), ok: 200, student: true, other: 403, seen: true},
		{name: "assignments", method: "GET", on: "published", path: at("/assignments"), ok: 200, other: 403, list: true, filters: map[string][]string{"status": {"draft", "nonsense"}}},
		{name: "submissions", method: "GET", on: "published", path: at("/submissions"), ok: 200, other: 403, list: true},
		{name: "submission", method: "GET", on: "published", path: ofGraded(""), ok: 200, other: 403, seen: true},
		{name: "grade", method: "PUT", on: "published", path: ofGraded("/grade"), ok: 200, other: 403, conflict: true, body: func(cast) map[string]any {
			return map[string]any{"score": 12, "feedback": "better\nthan before"}
		}, may: []string{"feedback"}, wrong: map[string][]any{"score": {-1, 21, 1001}, "feedback": {"\x00", string(make([]rune, 10001))}}},
		{name: "stats", method: "GET", on: "published", path: at("/stats"), ok: 200, other: 403, seen: true},
		{name: "grades", method: "GET", on: "published", path: at("/grades.csv"), ok: 200, other: 403},
	}
}

func merged(a, b map[string][]any) map[string][]any {
	all := map[string][]any{}
	for _, m := range []map[string][]any{a, b} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// writes reports a call that If-Match is for.
func (k call) writes() bool { return k.on != "" && k.method != "GET" }

// good returns the request that succeeds, on a task of its own.
func (k call) good(t testing.TB, c cast, s *servicetest.Instance) request {
	t.Helper()
	var id string
	switch k.on {
	case "draft":
		id = c.draft(t, s)
	case "published":
		id = c.published(t, s)
	}
	r := request{Method: k.method, Path: k.path(c, id), Token: c.teacher.Token}
	if k.student {
		r.Token = c.submitted.Token
	}
	if k.body != nil {
		r.Body = k.body(c)
	}
	return r
}

// TestWhoMayMakeACall makes every call as everybody.
func TestWhoMayMakeACall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.Start(t)
	c := w.cast(t, s)
	former := w.person(t, "Former", "user")
	c.class.join(t, "teacher", former)
	w.iss.EndSession(former.Token)
	testkit.Eventually(t, "the token's death", func() error {
		if res := s.Do(t, request{Method: "GET", Path: "/api/v1/tasks", Token: former.Token}); res.Status != 401 {
			return fmt.Errorf("it still works: %d", res.Status)
		}
		return nil
	})
	otherTeacher := w.person(t, "Other", "user")
	w.class(t).join(t, "teacher", otherTeacher)
	codes := map[int]string{401: "unauthenticated", 403: "forbidden", 404: "not_found"}
	for _, k := range calls() {
		t.Run(k.name, func(t *testing.T) {
			stranger := k.stranger
			if stranger == 0 {
				stranger = 404
			}
			good := k.good(t, c, s)
			want := map[string]struct {
				token  string
				status int
			}{
				"nobody": {"", 401}, "somebody who signed out": {former.Token, 401}, "a stranger": {c.stranger.Token, stranger}, "an admin of the platform": {c.admin.Token, stranger},
				"a teacher of another class": {otherTeacher.Token, stranger}, "a student who left": {c.out.Token, stranger},
			}
			if k.student {
				want["a teacher"] = struct {
					token  string
					status int
				}{c.teacher.Token, k.other}
			} else {
				want["a student"] = struct {
					token  string
					status int
				}{c.student.Token, k.other}
			}
			for name, who := range want {
				t.Run(name, func(t *testing.T) {
					s.Expect(t, good.With(func(r *request) { r.Token = who.token }), who.status, codes[who.status])
				})
			}
			if !k.student {
				t.Run("the other teacher", func(t *testing.T) {
					s.Expect(t, k.good(t, c, s).With(func(r *request) { r.Token = c.colleague.Token }), k.ok, "")
				})
			}
			s.Expect(t, good, k.ok, "")
		})
	}
	t.Run("in another class", func(t *testing.T) {
		id := c.published(t, s)
		s.Expect(t, request{Method: "PUT", Path: "/api/v1/tasks/" + id + "/submissions/" + c.student.ID + "/grade", Token: c.teacher.Token, Body: map[string]any{"score": 1}}, 409, "not_submitted")
		s.Expect(t, request{Method: "PUT", Path: "/api/v1/tasks/" + id + "/submissions/" + c.stranger.ID + "/grade", Token: c.teacher.Token, Body: map[string]any{"score": 1}}, 404, "not_found")
		s.Expect(t, request{Method: "GET", Path: "/api/v1/tasks/" + id + "/submissions/" + c.student.ID, Token: c.teacher.Token}, 404, "not_found")
	})
}

// TestWhatATaskAllowsInItsStates makes the calls that depend on them.
func TestWhatATaskAllowsInItsStates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.Start(t)
	c := w.cast(t, s)
	for state, make := range map[string]func() string{"draft": func() string { return c.draft(t, s) }, "published": func() string { return c.published(t, s) }, "closed": func() string { return c.closed(t, s) }} {
		for _, tc := range []struct {
			name, method, suffix string
			body                 map[string]any
			student              bool
			want                 map[string]string // by state: the code of the conflict, "" for none
		}{
			{name: "publish", method: "POST", suffix: "/publish", want: map[string]string{"published": "already_published", "closed": "already_published"}},
			{name: "close", method: "POST", suffix: "/close", want: map[string]string{"draft": "task_not_published"}},
			{name: "delete", method: "DELETE", want: map[string]string{"published": "task_not_draft", "closed": "task_not_draft"}},
			{name: "patch the title", method: "PATCH", body: map[string]any{"title": "New"}, want: map[string]string{}},
			{name: "patch the score", method: "PATCH", body: map[string]any{"max_score": 7}, want: map[string]string{"published": "task_not_draft", "closed": "task_not_draft"}},
			{name: "patch the score to what it is", method: "PATCH", body: map[string]any{"max_score": 20}, want: map[string]string{}},
			{name: "hand in", method: "PUT", suffix: "/submission", body: map[string]any{"content": "x"}, student: true, want: map[string]string{"closed": "task_closed"}},
			{name: "save a draft", method: "PUT", suffix: "/submission", body: map[string]any{"content": "x", "draft": true}, student: true, want: map[string]string{"closed": "task_closed"}},
		} {
			t.Run(tc.name+" of a "+state+" task", func(t *testing.T) {
				r := request{Method: tc.method, Path: "/api/v1/tasks/" + make() + tc.suffix, Token: c.teacher.Token}
				if tc.body != nil {
					r.Body = tc.body
				}
				if tc.student {
					r.Token = c.student.Token
				}
				res := s.Do(t, r)
				switch code := tc.want[state]; {
				case tc.student && state == "draft":
					if res.Status != 404 {
						t.Errorf("got %d %s", res.Status, res.Body)
					}
				case code == "" && res.Status/100 != 2, code != "" && (res.Status != 409 || res.Code() != code):
					t.Errorf("got %d %s, want %q", res.Status, res.Body, code)
				}
			})
		}
	}
	exact(t, w.db)
}
