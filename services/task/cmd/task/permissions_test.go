package main

import (
	"fmt"
	"testing"
	"time"

	"pgo/pkg/testing/servicetest"
	"pgo/pkg/testing/testkit"
)

// call describes a call of the API, the conditions under which it succeeds, and the statuses for other callers.
type call struct {
	name, method string
	on           string // the status of the task, "" for a call without a task
	path         func(c classroom, id string) string
	body         func(c classroom) map[string]any // nil: takes none
	optional     bool                             // fields may be missing
	may          []string                         // the fields that may be missing otherwise
	wrong        map[string][]any                 // invalid values of the right type
	list         bool                             // takes limit and cursor
	filters      map[string][]string              // other parameters, with invalid values
	ok           int
	student      bool // made by a student, else by a teacher
	seen         bool // a read with an entity tag
	other        int  // the status for the other of student and teacher
	outsider     int  // and for all others, 404 if 0
	conflict     bool // may answer 409
}

func pathOf(suffix string) func(classroom, string) string {
	return func(_ classroom, id string) string { return "/api/v1/tasks/" + id + suffix }
}

// calls returns the calls of the Task API.
func calls() []call {
	ofGraded := func(suffix string) func(classroom, string) string {
		return func(c classroom, id string) string {
			return "/api/v1/tasks/" + id + "/submissions/" + c.graded.ID + suffix
		}
	}
	list := func(classroom, string) string { return "/api/v1/tasks" }
	taskFields := map[string][]any{
		"title": {"", " ", "a\nb", "\x00", string(make([]rune, 201)), "\u202eabc"}, "description": {"\x00", "\u202e"},
		"max_score": {0, -1, 1001}, "due_at": {"1999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"},
	}
	return []call{
		{name: "create", method: "POST", path: list, ok: 201, other: 403, body: func(c classroom) map[string]any {
			return map[string]any{"class_id": c.class.ID, "title": "Chapter 3", "description": "Read.", "max_score": 20, "due_at": "2030-01-01T00:00:00Z"}
		}, may: []string{"description"}, wrong: mergeMaps(taskFields, map[string][]any{"class_id": {"", "x", "0190A000-0000-7000-8000-000000000000"}})},
		{name: "list", method: "GET", path: list, ok: 200, other: 200, outsider: 200, list: true, filters: map[string][]string{
			"status": {"nonsense", "DRAFT"}, "assigned": {"you", "true"}, "class_id": {"x", "0190A000-0000-7000-8000-000000000000"}, "due_before": {"tomorrow", "2030-01-01", "0001-01-01T00:00:00Z"},
		}},
		{name: "get a draft", method: "GET", on: "draft", path: pathOf(""), ok: 200, other: 404, seen: true},
		{name: "get", method: "GET", on: "published", path: pathOf(""), ok: 200, other: 200, seen: true},
		{name: "patch a draft", method: "PATCH", on: "draft", path: pathOf(""), ok: 200, other: 404, optional: true, conflict: true, body: func(classroom) map[string]any {
			return map[string]any{"title": "New", "description": "New.", "max_score": 10, "due_at": time.Now().Add(time.Minute)}
		}, wrong: taskFields},
		{name: "patch", method: "PATCH", on: "published", path: pathOf(""), ok: 200, other: 403, optional: true, conflict: true, body: func(classroom) map[string]any {
			return map[string]any{"title": "New", "description": "New.", "due_at": time.Now().Add(time.Minute)}
		}, wrong: taskFields},
		{name: "delete", method: "DELETE", on: "draft", path: pathOf(""), ok: 204, other: 404, conflict: true},
		{name: "publish", method: "POST", on: "draft", path: pathOf("/publish"), ok: 202, other: 404, conflict: true},
		{name: "close", method: "POST", on: "published", path: pathOf("/close"), ok: 200, other: 403, conflict: true},
		{name: "hand in", method: "PUT", on: "published", path: pathOf("/submission"), ok: 200, student: true, other: 403, conflict: true, body: func(classroom) map[string]any {
			return map[string]any{"content": "a secret answer, better", "draft": false}
		}, may: []string{"draft"}, wrong: map[string][]any{"content": {"", " \n", "\x00", string(make([]byte, 64*1024+1))}}},
		{name: "my work", method: "GET", on: "published", path: pathOf("/submission"), ok: 200, student: true, other: 403, seen: true},
		{name: "assignments", method: "GET", on: "published", path: pathOf("/assignments"), ok: 200, other: 403, list: true, filters: map[string][]string{"status": {"draft", "nonsense"}}},
		{name: "submissions", method: "GET", on: "published", path: pathOf("/submissions"), ok: 200, other: 403, list: true},
		{name: "submission", method: "GET", on: "published", path: ofGraded(""), ok: 200, other: 403, seen: true},
		{name: "grade", method: "PUT", on: "published", path: ofGraded("/grade"), ok: 200, other: 403, conflict: true, body: func(classroom) map[string]any {
			return map[string]any{"score": 12, "feedback": "better\nthan before"}
		}, may: []string{"feedback"}, wrong: map[string][]any{"score": {-1, 21, 1001}, "feedback": {"\x00", string(make([]rune, 10001))}}},
		{name: "stats", method: "GET", on: "published", path: pathOf("/stats"), ok: 200, other: 403, seen: true},
		{name: "grades", method: "GET", on: "published", path: pathOf("/grades.csv"), ok: 200, other: 403},
	}
}

func mergeMaps(a, b map[string][]any) map[string][]any {
	all := map[string][]any{}
	for _, m := range []map[string][]any{a, b} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// isWrite reports whether the call honours If-Match.
func (k call) isWrite() bool { return k.on != "" && k.method != "GET" }

// validRequest returns a request that succeeds, on a new task.
func (k call) validRequest(t testing.TB, c classroom, s *servicetest.Instance) request {
	t.Helper()
	var id string
	switch k.on {
	case "draft":
		id = c.createDraft(t, s)
	case "published":
		id = c.createPublished(t, s)
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

// TestPermissions makes every call as every kind of person.
func TestPermissions(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	former := env.createPerson(t, "Former", "user")
	c.class.join(t, "teacher", former)
	env.issuer.EndSession(former.Token)
	testkit.Eventually(t, "the rejection of the token", func() error {
		if res := s.Do(t, request{Method: "GET", Path: "/api/v1/tasks", Token: former.Token}); res.Status != 401 {
			return fmt.Errorf("it still works: %d", res.Status)
		}
		return nil
	})
	otherTeacher := env.createPerson(t, "Other", "user")
	env.createClass(t).join(t, "teacher", otherTeacher)
	codes := map[int]string{401: "unauthenticated", 403: "forbidden", 404: "not_found"}
	for _, k := range calls() {
		t.Run(k.name, func(t *testing.T) {
			outsider := k.outsider
			if outsider == 0 {
				outsider = 404
			}
			good := k.validRequest(t, c, s)
			want := map[string]struct {
				token  string
				status int
			}{
				"anonymous": {"", 401}, "signed out": {former.Token, 401}, "outsider": {c.outsider.Token, outsider}, "platform admin": {c.admin.Token, outsider},
				"teacher of another class": {otherTeacher.Token, outsider}, "student who left": {c.former.Token, outsider},
			}
			if k.student {
				want["teacher"] = struct {
					token  string
					status int
				}{c.teacher.Token, k.other}
			} else {
				want["student"] = struct {
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
				t.Run("other teacher", func(t *testing.T) {
					s.Expect(t, k.validRequest(t, c, s).With(func(r *request) { r.Token = c.colleague.Token }), k.ok, "")
				})
			}
			s.Expect(t, good, k.ok, "")
		})
	}
	t.Run("in another class", func(t *testing.T) {
		id := c.createPublished(t, s)
		s.Expect(t, request{Method: "PUT", Path: "/api/v1/tasks/" + id + "/submissions/" + c.student.ID + "/grade", Token: c.teacher.Token, Body: map[string]any{"score": 1}}, 409, "not_submitted")
		s.Expect(t, request{Method: "PUT", Path: "/api/v1/tasks/" + id + "/submissions/" + c.outsider.ID + "/grade", Token: c.teacher.Token, Body: map[string]any{"score": 1}}, 404, "not_found")
		s.Expect(t, request{Method: "GET", Path: "/api/v1/tasks/" + id + "/submissions/" + c.student.ID, Token: c.teacher.Token}, 404, "not_found")
	})
}

// TestOwnWorkIsNotGraded makes a student who has handed in, and one who has a grade, a teacher of the class.
func TestOwnWorkIsNotGraded(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	id := c.createPublished(t, s)
	c.class.join(t, "teacher", c.submitted, c.graded)
	for _, p := range []person{c.submitted, c.graded} {
		grade := request{Method: "PUT", Path: "/api/v1/tasks/" + id + "/submissions/" + p.ID + "/grade", Token: p.Token, Body: map[string]any{"score": 20}}
		s.Expect(t, grade, 403, "forbidden")
		s.Expect(t, grade.With(func(r *request) { r.Token = c.teacher.Token }), 200, "")
		s.Expect(t, grade, 403, "forbidden")
	}
	s.Expect(t, request{Method: "PUT", Path: "/api/v1/tasks/" + id + "/submissions/" + c.graded.ID + "/grade", Token: c.submitted.Token, Body: map[string]any{"score": 1}}, 200, "")
}

// TestCallsByTaskStatus makes the calls that depend on the task's status, in each status.
func TestCallsByTaskStatus(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	for state, make := range map[string]func() string{"draft": func() string { return c.createDraft(t, s) }, "published": func() string { return c.createPublished(t, s) }, "closed": func() string { return c.createClosed(t, s) }} {
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
			{name: "patch the score to the same value", method: "PATCH", body: map[string]any{"max_score": 20}, want: map[string]string{}},
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
	assertCounts(t, env.db)
}
