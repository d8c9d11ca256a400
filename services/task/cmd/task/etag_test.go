package main

import (
	"net/http"
	"testing"

	"pgo/pkg/testing/servicetest"
)

func ifMatch(tag string) http.Header { return http.Header{"If-Match": {tag}} }

func TestConditionalReads(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	for _, k := range calls() {
		if !k.seen {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			read := k.validRequest(t, c, s)
			tag := s.Expect(t, read, 200, "").Header.Get("ETag")
			for value, status := range map[string]int{tag: 304, "W/" + tag: 304, "*": 304, `"0", ` + tag: 304, `"0"`: 200, "nonsense": 200, "": 200} {
				res := s.Expect(t, read.With(func(r *request) { r.Header = http.Header{"If-None-Match": {value}} }), status, "")
				if tag == "" || res.Header.Get("ETag") != tag || status == 304 && len(res.Body) != 0 {
					t.Errorf("If-None-Match %s: ETag %s, body %s", value, res.Header.Get("ETag"), res.Body)
				}
			}
		})
	}
	t.Run("every change of a response changes its tag", func(t *testing.T) {
		id := c.createPublished(t, s)
		path := "/api/v1/tasks/" + id
		reads := map[string]request{
			"task": {Method: "GET", Path: path, Token: c.teacher.Token}, "stats": {Method: "GET", Path: path + "/stats", Token: c.teacher.Token},
			"mine": {Method: "GET", Path: path + "/submission", Token: c.submitted.Token}, "theirs": {Method: "GET", Path: path + "/submissions/" + c.submitted.ID, Token: c.teacher.Token},
		}
		answers := map[string]response{}
		look := func(what string) {
			t.Helper()
			for name, r := range reads {
				now, before := s.Expect(t, r, 200, ""), answers[name]
				if before.Body != nil && string(now.Body) != string(before.Body) && now.Header.Get("ETag") == before.Header.Get("ETag") {
					t.Errorf("%s changes %s from %s to %s and keeps the tag", what, name, before.Body, now.Body)
				}
				answers[name] = now
			}
		}
		look("nothing")
		grade := request{Method: "PUT", Path: path + "/submissions/" + c.submitted.ID + "/grade", Token: c.teacher.Token, Body: map[string]any{"score": 3}}
		for name, r := range map[string]request{
			"a change of the title": {Method: "PATCH", Path: path, Token: c.teacher.Token, Body: map[string]any{"title": "New"}},
			"somebody's submission": {Method: "PUT", Path: path + "/submission", Token: c.student.Token, Body: map[string]any{"content": "x"}},
			"one's own submission":  {Method: "PUT", Path: path + "/submission", Token: c.submitted.Token, Body: map[string]any{"content": "y"}},
		} {
			s.Expect(t, r, 200, "")
			look(name)
		}
		s.Expect(t, grade, 200, "")
		look("a grade")
		grade.Body = map[string]any{"score": 4}
		s.Expect(t, grade, 200, "")
		look("another grade")
		c.class.join(t, "student", c.newcomer)
		look("somebody who joins")
		c.class.leave(t, "student", c.newcomer)
		look("somebody who leaves")
		s.Expect(t, request{Method: "POST", Path: path + "/close", Token: c.teacher.Token}, 200, "")
		look("closing")
	})
}

func TestConditionalWrites(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	for _, k := range calls() {
		if !k.isWrite() {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			r := k.validRequest(t, c, s)
			read := request{Method: "GET", Path: r.Path, Token: r.Token}
			switch k.name {
			case "publish", "close":
				read.Path = r.Path[:len("/api/v1/tasks/")+36]
			case "grade":
				read.Path = r.Path[:len(r.Path)-len("/grade")]
			}
			tag := s.Expect(t, read, 200, "").Header.Get("ETag")
			before := env.dumpTables(t)
			for _, old := range []string{`"0"`, `"99"`, `W/"0"`, "1", "", "nonsense", `"x", "y"`} {
				s.Expect(t, r.With(func(r *request) { r.Header = ifMatch(old) }), 412, "precondition_failed")
			}
			if after := env.dumpTables(t); after != before {
				t.Errorf("a rejected change has changed the database:\n%s", servicetest.DiffLines(before, after))
			}
			s.Expect(t, r.With(func(r *request) { r.Header = ifMatch(`"0", W/` + tag) }), k.ok, "")
		})
	}
	t.Run("what students do is no conflict for the text", func(t *testing.T) {
		id := c.createPublished(t, s)
		path := "/api/v1/tasks/" + id
		first := s.Expect(t, request{Method: "GET", Path: path, Token: c.teacher.Token}, 200, "")
		s.Expect(t, request{Method: "PUT", Path: path + "/submission", Token: c.student.Token, Body: map[string]any{"content": "x"}}, 200, "")
		s.Expect(t, request{Method: "PUT", Path: path + "/submissions/" + c.student.ID + "/grade", Token: c.teacher.Token, Body: map[string]any{"score": 3}}, 200, "")
		c.class.join(t, "student", env.createPerson(t, "Late", "user"))
		if now := s.Expect(t, request{Method: "GET", Path: path, Token: c.teacher.Token}, 200, ""); now.JSON["version"] != first.JSON["version"] || now.JSON["submitted_count"] == first.JSON["submitted_count"] {
			t.Errorf("the task was %s and is %s", first.Body, now.Body)
		}
		edit := request{Method: "PATCH", Path: path, Token: c.teacher.Token, Body: map[string]any{"description": "Without the typo."}, Header: ifMatch(first.Header.Get("ETag"))}
		s.Expect(t, edit, 200, "")
		s.Expect(t, edit, 412, "precondition_failed") // the edit itself is one
	})
	t.Run("submission that does not exist", func(t *testing.T) {
		id := c.createPublished(t, s)
		r := request{Method: "PUT", Path: "/api/v1/tasks/" + id + "/submission", Token: c.student.Token, Body: map[string]any{"content": "x"}}
		for _, tag := range []string{"*", `"0"`, `"1"`} {
			s.Expect(t, r.With(func(r *request) { r.Header = ifMatch(tag) }), 412, "precondition_failed")
		}
		s.Expect(t, r, 200, "")
		s.Expect(t, r.With(func(r *request) { r.Header = ifMatch("*") }), 200, "")
	})
	t.Run("one of many concurrent writes of a version succeeds", func(t *testing.T) {
		id := c.createDraft(t, s)
		var all []request
		for _, title := range []string{"A", "B", "C", "D", "E", "F"} {
			all = append(all, request{Method: "PATCH", Path: "/api/v1/tasks/" + id, Token: c.teacher.Token, Body: map[string]any{"title": title}, Header: ifMatch(`"1"`)})
		}
		answers := s.Parallel(t, all...)
		if got := servicetest.CountStatuses(answers); got[200] != 1 || got[412] != 5 {
			t.Errorf("statuses are %v, want one 200 and five 412", got)
		}
	})
	t.Run("one of many concurrent publications succeeds", func(t *testing.T) {
		id := c.createDraft(t, s)
		var all []request
		for range 8 {
			all = append(all, request{Method: "POST", Path: "/api/v1/tasks/" + id + "/publish", Token: c.teacher.Token})
		}
		answers := s.Parallel(t, all...)
		if got := servicetest.CountStatuses(answers); got[202] != 1 || got[409] != 7 {
			t.Errorf("statuses are %v, want one 202 and seven 409", got)
		}
	})
}

// TestConcurrentCalls has students hand in and a teacher close at the same time: nothing is taken after the end, and the counts
// are exact.
func TestConcurrentCalls(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	for range 5 {
		id := c.createPublished(t, s)
		var all []request
		for _, p := range []person{c.student, c.submitted, c.student, c.submitted} {
			all = append(all, request{Method: "PUT", Path: "/api/v1/tasks/" + id + "/submission", Token: p.Token, Body: map[string]any{"content": "x"}})
		}
		all = append(all, request{Method: "POST", Path: "/api/v1/tasks/" + id + "/close", Token: c.teacher.Token})
		for _, a := range s.Parallel(t, all...) {
			if a.Status != 200 && a.Code() != "task_closed" {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
		}
		s.Expect(t, all[0], 409, "task_closed")
		assertCounts(t, env.db)
	}
}
