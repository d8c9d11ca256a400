package main

import (
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgo/pkg/testing/testkit"
)

// TestJourney sets a task, hands in, grades and looks at the figures.
func TestJourney(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	id := c.createDraft(t, s)
	path := "/api/v1/tasks/" + id
	s.Expect(t, request{Method: "GET", Path: path, Token: c.student.Token}, 404, "not_found")
	s.Expect(t, request{Method: "PATCH", Path: path, Token: c.colleague.Token, Body: map[string]any{"max_score": 10, "title": " Chapter 4 "}}, 200, "")
	res := s.Expect(t, request{Method: "POST", Path: path + "/publish", Token: c.teacher.Token}, 202, "")
	if res.Text("status") != "published" || res.Text("title") != "Chapter 4" || res.JSON["max_score"] != 10.0 || res.JSON["published_at"] == nil {
		t.Errorf("published %s", res.Body)
	}
	env.awaitFanOut(t)
	for _, p := range []person{c.student, c.submitted, c.graded} {
		s.Expect(t, request{Method: "GET", Path: path, Token: p.Token}, 200, "")
		if items := s.Expect(t, request{Method: "GET", Path: "/api/v1/tasks?assigned=me", Token: p.Token}, 200, "").Items(); len(items) != 1 || items[0]["id"] != id {
			t.Errorf("%s is assigned %v", p.Name, items)
		}
	}
	s.Expect(t, request{Method: "GET", Path: path, Token: c.former.Token}, 404, "not_found")
	c.class.join(t, "student", c.newcomer, c.former) // who come later get it, too
	s.Expect(t, request{Method: "GET", Path: path, Token: c.newcomer.Token}, 200, "")
	s.Expect(t, request{Method: "GET", Path: path, Token: c.former.Token}, 200, "")

	submit := func(p person, body map[string]any, status int, code string) map[string]any {
		return s.Expect(t, request{Method: "PUT", Path: path + "/submission", Token: p.Token, Body: body}, status, code).JSON
	}
	mine := request{Method: "GET", Path: path + "/submission", Token: c.student.Token}
	s.Expect(t, mine, 404, "not_found")
	if got := submit(c.student, map[string]any{"content": "a secret answer", "draft": true}, 200, ""); got["status"] != "draft" || got["submitted_at"] != nil {
		t.Errorf("a draft is %v", got)
	}
	theirs := request{Method: "GET", Path: path + "/submissions/" + c.student.ID, Token: c.teacher.Token}
	s.Expect(t, mine, 200, "")
	s.Expect(t, theirs, 404, "not_found") // a draft is the student's own
	grade := func(score int, status int, code string) response {
		return s.Expect(t, request{Method: "PUT", Path: theirs.Path + "/grade", Token: c.teacher.Token, Body: map[string]any{"score": score, "feedback": "=1+1"}}, status, code)
	}
	grade(5, 409, "not_submitted")
	if got := submit(c.student, map[string]any{"content": "a secret answer"}, 200, ""); got["status"] != "submitted" || got["late"] != false || got["version"] != 2.0 {
		t.Errorf("handed in %v", got)
	}
	submit(c.student, map[string]any{"content": "another", "draft": true}, 409, "already_submitted")
	submit(c.student, map[string]any{"content": "a secret answer, better"}, 200, "")
	s.Expect(t, request{Method: "PATCH", Path: path, Token: c.teacher.Token, Body: map[string]any{"due_at": time.Now().Add(-time.Hour)}}, 200, "")
	if got := submit(c.submitted, map[string]any{"content": "a secret answer"}, 200, ""); got["late"] != true {
		t.Errorf("after due_at it is %v", got)
	}
	if res := s.Expect(t, theirs, 200, ""); res.Text("content") != "a secret answer, better" || res.Text("status") != "submitted" {
		t.Errorf("the teacher reads %s", res.Body)
	}
	grade(11, 422, "validation_failed")
	if res := grade(10, 200, ""); res.JSON["score"] != 10.0 || res.Text("status") != "graded" {
		t.Errorf("graded %s", res.Body)
	}
	grade(8, 200, "")
	submit(c.student, map[string]any{"content": "too late"}, 409, "already_graded")
	s.Expect(t, request{Method: "PATCH", Path: path, Token: c.teacher.Token, Body: map[string]any{"max_score": 5}}, 409, "task_not_draft")
	s.Expect(t, request{Method: "DELETE", Path: path, Token: c.teacher.Token}, 409, "task_not_draft")
	s.Expect(t, request{Method: "POST", Path: path + "/publish", Token: c.teacher.Token}, 409, "already_published")
	for range 2 {
		s.Expect(t, request{Method: "POST", Path: path + "/close", Token: c.teacher.Token}, 200, "")
	}
	submit(c.graded, map[string]any{"content": "x"}, 409, "task_closed")

	stats := s.Expect(t, request{Method: "GET", Path: path + "/stats", Token: c.teacher.Token}, 200, "").JSON
	for field, want := range map[string]any{"assigned": 5.0, "submitted": 2.0, "late": 2.0, "graded": 1.0, "mean": 8.0, "median": 8.0, "min": 8.0, "max": 8.0} {
		if stats[field] != want {
			t.Errorf("%s is %v, want %v", field, stats[field], want)
		}
	}
	res = s.Expect(t, request{Method: "GET", Path: path + "/grades.csv", Token: c.teacher.Token}, 200, "")
	table, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(res.Body), "\ufeff"))).ReadAll()
	if err != nil || len(table) != 6 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/csv") {
		t.Fatalf("%v, %s of type %s", err, res.Body, res.Header.Get("Content-Type"))
	}
	for _, row := range table[1:] {
		if row[0] == c.student.ID && (row[1] != "Student" || row[2] != "Student@example.org" || row[3] != "graded" || row[5] != "8" || row[6] != "10" || row[9] != "Europe/Berlin" || row[10] != "'=1+1") {
			t.Errorf("the student's row is %q", row)
		}
	}
	assertCounts(t, env.db)
}

// TestNamesOnLists lists people with a name that is not known yet, a new name, and a deleted account.
func TestNamesOnLists(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	id := c.createPublished(t, s)
	unknown := person{ID: newID()}
	unknown.Token = env.issuer.NewToken(unknown.ID, "user")
	c.class.join(t, "student", unknown)
	s.Expect(t, request{Method: "PUT", Path: "/api/v1/tasks/" + id + "/submission", Token: unknown.Token, Body: map[string]any{"content": "x"}}, 200, "")
	env.publish(t, "user.updated.v1", c.submitted.ID, map[string]any{"id": c.submitted.ID, "name": "Renamed"})
	env.publish(t, "user.deleted.v1", c.graded.ID, map[string]any{"id": c.graded.ID})
	env.awaitApplied(t)
	want := map[string]any{unknown.ID: nil, c.submitted.ID: "Renamed", c.graded.ID: "deleted user", c.student.ID: "Student"}
	for _, list := range []string{"assignments", "submissions"} {
		items := s.Expect(t, request{Method: "GET", Path: "/api/v1/tasks/" + id + "/" + list, Token: c.teacher.Token}, 200, "").Items()
		if list == "assignments" && len(items) != 4 || list == "submissions" && len(items) != 3 {
			t.Errorf("%s has %d items", list, len(items))
		}
		for _, item := range items {
			if name, known := want[fmt.Sprint(item["user_id"])]; !known || item["name"] != name {
				t.Errorf("%s has %v of %v, want %v", list, item["name"], item["user_id"], name)
			}
		}
	}
}

// TestStudentLeavesAndReturns checks that a student who leaves the school keeps what they handed in and saved, and sees it again
// after the return.
func TestStudentLeavesAndReturns(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	id := c.createPublished(t, s)
	path := "/api/v1/tasks/" + id
	s.Expect(t, request{Method: "PUT", Path: path + "/submission", Token: c.student.Token, Body: map[string]any{"content": "x", "draft": true}}, 200, "")
	counts := func(assigned, submitted, graded float64) {
		t.Helper()
		if got := s.Expect(t, request{Method: "GET", Path: path, Token: c.teacher.Token}, 200, "").JSON; got["assigned_count"] != assigned || got["submitted_count"] != submitted || got["graded_count"] != graded {
			t.Errorf("counts are %v, %v, %v, want %v, %v, %v", got["assigned_count"], got["submitted_count"], got["graded_count"], assigned, submitted, graded)
		}
		assertCounts(t, env.db)
	}
	counts(3, 2, 1)
	c.class.leave(t, "student", c.student, c.submitted, c.graded)
	counts(2, 2, 1)
	for _, p := range []person{c.student, c.submitted, c.graded} {
		s.Expect(t, request{Method: "GET", Path: path, Token: p.Token}, 404, "not_found")
		s.Expect(t, request{Method: "GET", Path: path + "/submission", Token: p.Token}, 404, "not_found")
		s.Expect(t, request{Method: "PUT", Path: path + "/submission", Token: p.Token, Body: map[string]any{"content": "x"}}, 404, "not_found")
	}
	// The teacher still sees and grades what was handed in.
	s.Expect(t, request{Method: "PUT", Path: path + "/submissions/" + c.submitted.ID + "/grade", Token: c.teacher.Token, Body: map[string]any{"score": 1}}, 200, "")
	c.class.join(t, "student", c.student, c.submitted)
	counts(3, 2, 2)
	s.Expect(t, request{Method: "GET", Path: path + "/submission", Token: c.student.Token}, 200, "") // the draft
	s.Expect(t, request{Method: "GET", Path: path + "/submission", Token: c.submitted.Token}, 200, "")
	c.class.publishMember(t, "class.member_added.v1", c.student.ID, "teacher") // a student who becomes a teacher has nothing to do
	env.awaitApplied(t)
	counts(2, 2, 2)
	s.Expect(t, request{Method: "GET", Path: path + "/stats", Token: c.student.Token}, 200, "")
	s.Expect(t, request{Method: "PUT", Path: path + "/submission", Token: c.student.Token, Body: map[string]any{"content": "x"}}, 403, "forbidden")
}

// TestDeletingClassOrSchoolDeletesTasks also when the class is only known from its members.
func TestDeletingClassOrSchoolDeletesTasks(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	for _, what := range []string{"class", "school"} {
		t.Run(what, func(t *testing.T) {
			c := env.createClassroom(t, s)
			ids := []string{c.createDraft(t, s), c.createPublished(t, s), c.createClosed(t, s)}
			if what == "class" {
				env.publish(t, "class.deleted.v1", c.class.ID, map[string]any{"id": c.class.ID, "school_id": c.class.SchoolID})
			} else {
				env.publish(t, "school.deleted.v1", c.class.SchoolID, map[string]any{"id": c.class.SchoolID})
			}
			c.class.publishMember(t, "class.member_added.v1", c.outsider.ID, "teacher") // late
			env.awaitApplied(t)
			for _, id := range ids {
				for _, p := range []person{c.teacher, c.graded, c.outsider} {
					s.Expect(t, request{Method: "GET", Path: "/api/v1/tasks/" + id, Token: p.Token}, 404, "not_found")
				}
			}
			if items := s.Expect(t, request{Method: "GET", Path: "/api/v1/tasks", Token: c.teacher.Token}, 200, "").Items(); len(items) > 0 {
				t.Errorf("the teacher still has %v", items)
			}
			s.Expect(t, request{Method: "POST", Path: "/api/v1/tasks", Token: c.teacher.Token, Body: map[string]any{"class_id": c.class.ID, "title": "x", "max_score": 1, "due_at": time.Now()}}, 404, "not_found")
			testkit.Eventually(t, "their rows", func() error {
				var n int
				if err := env.db.QueryRow("SELECT (SELECT COUNT(*) FROM tasks) + (SELECT COUNT(*) FROM assignments) + (SELECT COUNT(*) FROM submissions)").Scan(&n); err != nil {
					return err
				}
				if n > 0 {
					return fmt.Errorf("%d are left", n)
				}
				return nil
			})
		})
	}
}
