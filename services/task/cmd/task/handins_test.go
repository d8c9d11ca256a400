package main

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"pgo/pkg/testing/servicetest"
	"pgo/pkg/testing/testkit"
)

// work is a published task of a classroom, and the calls that students and teachers make for it.
type work struct {
	t    testing.TB
	s    *servicetest.Instance
	c    classroom
	path string
}

func (c classroom) createWork(t testing.TB, s *servicetest.Instance) work {
	t.Helper()
	return work{t: t, s: s, c: c, path: "/api/v1/tasks/" + c.createPublished(t, s)}
}

// handIn saves what a student sends.
func (w work) handIn(p person, body map[string]any, status int, code string) response {
	w.t.Helper()
	return w.s.Expect(w.t, request{Method: "PUT", Path: w.path + "/submission", Token: p.Token, Body: body}, status, code)
}

// own returns what the student sees of their submission.
func (w work) own(p person) response {
	w.t.Helper()
	return w.s.Expect(w.t, request{Method: "GET", Path: w.path + "/submission", Token: p.Token}, 200, "")
}

// theirs returns what the teacher sees of a student's submission.
func (w work) theirs(p person) response {
	w.t.Helper()
	return w.s.Expect(w.t, request{Method: "GET", Path: w.path + "/submissions/" + p.ID, Token: w.c.teacher.Token}, 200, "")
}

func (w work) setDueAt(at time.Time) {
	w.t.Helper()
	w.s.Expect(w.t, request{Method: "PATCH", Path: w.path, Token: w.c.teacher.Token, Body: map[string]any{"due_at": at}}, 200, "")
}

func (w work) extend(p person, at time.Time) {
	w.t.Helper()
	w.s.Expect(w.t, request{Method: "PUT", Path: w.path + "/extensions/" + p.ID, Token: w.c.teacher.Token, Body: map[string]any{"due_at": at}}, 204, "")
}

func (w work) grade(p person, score int) response {
	w.t.Helper()
	return w.s.Expect(w.t, request{Method: "PUT", Path: w.path + "/submissions/" + p.ID + "/grade", Token: w.c.teacher.Token, Body: map[string]any{"score": score}}, 200, "")
}

// late returns the number of late submissions in the statistics.
func (w work) late() any {
	w.t.Helper()
	return w.s.Expect(w.t, request{Method: "GET", Path: w.path + "/stats", Token: w.c.teacher.Token}, 200, "").JSON["late"]
}

// assertFields fails the test unless the response has the values.
func assertFields(t testing.TB, what string, res response, want map[string]any) {
	t.Helper()
	for field, value := range want {
		if fmt.Sprint(res.JSON[field]) != fmt.Sprint(value) {
			t.Errorf("%s: %s is %v, want %v, in %s", what, field, res.JSON[field], value, res.Body)
		}
	}
}

// TestEveryHandInIsKept hands in twice before and once after the deadline, moves the deadline, and grades.
func TestEveryHandInIsKept(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	w, p := c.createWork(t, s), c.student
	w.handIn(p, map[string]any{"content": "first"}, 200, "")
	second := w.handIn(p, map[string]any{"content": "second"}, 200, "")
	w.setDueAt(time.Now())
	third := w.handIn(p, map[string]any{"content": "third"}, 200, "")
	assertFields(t, "the answer to the last", third, map[string]any{"content": "third", "late": false, "number": 3, "counted_number": 2, "hand_ins": 3})
	if again := w.handIn(p, map[string]any{"content": "third"}, 200, ""); again.JSON["version"] != third.JSON["version"] || again.JSON["submitted_at"] != third.JSON["submitted_at"] {
		t.Errorf("the same again changes %s to %s", third.Body, again.Body)
	}
	assertFields(t, "the student's own", w.own(p), map[string]any{"content": "third", "number": 3, "counted_number": 2})
	assertFields(t, "the teacher's", w.theirs(p), map[string]any{"content": "second", "late": false, "number": 2, "hand_ins": 3, "submitted_at": second.JSON["submitted_at"]})
	for _, item := range s.Expect(t, request{Method: "GET", Path: w.path + "/submissions", Token: c.teacher.Token}, 200, "").Items() {
		if item["user_id"] == p.ID && (item["content"] != "second" || item["number"] != 2.0) {
			t.Errorf("the list of submissions has %v", item)
		}
	}
	for _, item := range s.Expect(t, request{Method: "GET", Path: w.path + "/assignments", Token: c.teacher.Token}, 200, "").Items() {
		if item["user_id"] == p.ID && (item["late"] != false || item["submitted_at"] != second.JSON["submitted_at"] || item["hand_ins"] != 3.0) {
			t.Errorf("the list of assignments has %v", item)
		}
	}
	lists := map[string]request{
		"student": {Method: "GET", Path: w.path + "/submission/hand-ins", Token: p.Token},
		"teacher": {Method: "GET", Path: w.path + "/submissions/" + p.ID + "/hand-ins", Token: c.teacher.Token},
	}
	for who, list := range lists {
		for i, item := range s.Expect(t, list, 200, "").Items() {
			if item["number"] != float64(i+1) || item["late"] != (i == 2) || item["counts"] != (i == 1) {
				t.Errorf("the %s's list has %v at %d", who, item, i)
			}
			content := []string{"first", "second", "third"}[i]
			assertFields(t, who, s.Expect(t, list.With(func(r *request) { r.Path += fmt.Sprintf("/%d", i+1) }), 200, ""), map[string]any{"content": content, "number": i + 1})
		}
		for _, wrong := range []string{"0", "4", "01", "x", "-1"} {
			s.Expect(t, list.With(func(r *request) { r.Path += "/" + wrong }), 404, "not_found")
		}
		s.Expect(t, list.With(func(r *request) { r.Token = c.outsider.Token }), 404, "not_found")
		page := s.Expect(t, list.With(func(r *request) { r.Path += "?limit=2" }), 200, "")
		if rest := s.Expect(t, list.With(func(r *request) { r.Path += "?limit=2&cursor=" + page.Text("next_cursor") }), 200, "").Items(); len(page.Items()) != 2 || len(rest) != 1 || rest[0]["number"] != 3.0 {
			t.Errorf("the pages are %s and %v", page.Body, rest)
		}
	}
	s.Expect(t, lists["teacher"].With(func(r *request) { r.Token = p.Token }), 403, "forbidden")
	s.Expect(t, lists["student"].With(func(r *request) { r.Token = c.teacher.Token }), 403, "forbidden")

	assertFields(t, "the grade", w.grade(p, 9), map[string]any{"content": "second", "number": 2, "score": 9})
	w.setDueAt(time.Now().Add(time.Hour)) // now the third would have been in time
	assertFields(t, "graded", w.theirs(p), map[string]any{"content": "second", "number": 2, "late": false})
	assertFields(t, "graded, by the student", w.own(p), map[string]any{"content": "third", "counted_number": 2, "score": 9})
	assertCounts(t, env.db)
}

// TestLateFollowsTheDeadline moves the task's deadline and a student's own after the hand-in.
func TestLateFollowsTheDeadline(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	w, p := c.createWork(t, s), c.student
	w.handIn(p, map[string]any{"content": "in time"}, 200, "")
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	look := func(what string, late bool, count int) {
		t.Helper()
		assertFields(t, what, w.theirs(p), map[string]any{"late": late})
		assertFields(t, what, w.own(p), map[string]any{"late": late})
		if got := w.late(); got != float64(count) {
			t.Errorf("%s: %v are late, want %d", what, got, count)
		}
	}
	look("at first", false, 0)
	tag := w.own(p).Header.Get("ETag")
	w.setDueAt(past)
	look("the deadline is before the hand-in", true, 3)
	if now := w.own(p).Header.Get("ETag"); now == tag {
		t.Error("the student's submission has changed and keeps its entity tag")
	}
	w.extend(p, future)
	look("the student has an extension", false, 2)
	assertFields(t, "extended", w.theirs(p), map[string]any{"due_at": future.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)})
	w.handIn(p, map[string]any{"content": "within the extension"}, 200, "")
	assertFields(t, "within the extension", w.theirs(p), map[string]any{"content": "within the extension", "late": false})
	extension := request{Method: "PUT", Path: w.path + "/extensions/" + p.ID, Token: c.teacher.Token, Body: map[string]any{"due_at": past.Add(-time.Hour)}}
	s.Expect(t, extension, 422, "validation_failed")
	s.Expect(t, extension.With(func(r *request) { r.Token = p.Token }), 403, "forbidden")
	extension.Body = map[string]any{"due_at": future}
	s.Expect(t, extension.With(func(r *request) { r.Path = w.path + "/extensions/" + c.outsider.ID }), 404, "not_found")
	s.Expect(t, extension.With(func(r *request) { r.Token = c.outsider.Token }), 404, "not_found")
	s.Expect(t, extension.With(func(r *request) { r.Method, r.Body = "DELETE", nil }), 204, "")
	look("the extension is taken back", true, 3)
	w.setDueAt(future)
	look("the deadline is extended for all", false, 0)
	c.class.join(t, "teacher", p)
	s.Expect(t, extension.With(func(r *request) { r.Token = p.Token }), 403, "forbidden") // not for oneself
}

// TestAbsentFieldsLeaveWorkAlone saves without content, and grades without feedback.
func TestAbsentFieldsLeaveWorkAlone(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	w, p := c.createWork(t, s), c.student
	for _, body := range []map[string]any{{}, {"draft": true}, {"draft": false}, {"content": nil}, {"content": nil, "draft": true}} {
		w.handIn(p, body, 422, "validation_failed") // there is nothing to hand in
	}
	saved := w.handIn(p, map[string]any{"content": "three pages", "draft": true}, 200, "")
	for _, body := range []map[string]any{{}, {"content": nil}, {"content": nil, "draft": true}, {"content": nil, "draft": false}} {
		w.handIn(p, body, 422, "validation_failed")
	}
	w.handIn(p, map[string]any{"draft": true}, 200, "")
	if now := w.own(p); string(now.Body) != string(saved.Body) {
		t.Errorf("the draft was %s and is %s", saved.Body, now.Body)
	}
	assertFields(t, "handed in", w.handIn(p, map[string]any{"draft": false}, 200, ""), map[string]any{"content": "three pages", "status": "submitted"})
	s.Expect(t, request{Method: "PUT", Path: w.path + "/submissions/" + p.ID + "/grade", Token: c.teacher.Token, Body: map[string]any{"score": 3, "feedback": "Nearly."}}, 200, "")
	assertFields(t, "graded again", w.grade(p, 5), map[string]any{"score": 5, "feedback": "Nearly."})
}

// TestLeavingHidesWork takes students out of the class and puts them back.
func TestLeavingHidesWork(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	for _, p := range []person{c.student, c.graded} {
		env.publish(t, "school.member_added.v1", c.class.SchoolID, map[string]any{"school_id": c.class.SchoolID, "user_id": p.ID, "role": "student"})
	}
	open, closed, graded := c.createWork(t, s), c.createWork(t, s), c.createWork(t, s)
	open.handIn(c.student, map[string]any{"content": "not finished", "draft": true}, 200, "")
	closed.handIn(c.student, map[string]any{"content": "not finished either", "draft": true}, 200, "")
	count := func() any {
		return s.Expect(t, request{Method: "GET", Path: open.path, Token: c.teacher.Token}, 200, "").JSON["assigned_count"]
	}
	before := count()
	c.class.leave(t, "student", c.student, c.graded)

	s.Expect(t, request{Method: "GET", Path: open.path, Token: c.student.Token}, 404, "not_found")
	s.Expect(t, request{Method: "GET", Path: open.path + "/submission", Token: c.student.Token}, 404, "not_found")
	if got := count(); got != before.(float64)-1 { // the one who handed in still counts
		t.Errorf("%v are assigned, of %v", got, before)
	}
	for _, path := range []string{"/assignments", "/grades.csv"} {
		if res := s.Expect(t, request{Method: "GET", Path: open.path + path, Token: c.teacher.Token}, 200, ""); containsID(res, c.student.ID) || !containsID(res, c.graded.ID) {
			t.Errorf("%s is %s", path, res.Body)
		}
	}
	assertFields(t, "own graded work", graded.own(c.graded), map[string]any{"status": "graded", "score": 17, "feedback": "well done"})
	s.Expect(t, request{Method: "GET", Path: graded.path, Token: c.graded.Token}, 200, "")
	if items := s.Expect(t, request{Method: "GET", Path: "/api/v1/tasks", Token: c.graded.Token}, 200, "").Items(); len(items) != 3 {
		t.Errorf("someone who handed in three tasks and left lists %v", items)
	}
	graded.handIn(c.graded, map[string]any{"content": "x"}, 403, "forbidden")
	s.Expect(t, request{Method: "GET", Path: graded.path + "/submissions/" + c.graded.ID, Token: c.teacher.Token}, 200, "")
	s.Expect(t, request{Method: "POST", Path: closed.path + "/close", Token: c.teacher.Token}, 200, "")

	c.class.join(t, "student", c.student)
	assertFields(t, "the draft", open.own(c.student), map[string]any{"content": "not finished", "status": "draft"})
	assertFields(t, "the draft of a task that was closed meanwhile", closed.own(c.student), map[string]any{"content": "not finished either"})
	open.handIn(c.student, map[string]any{"draft": false}, 200, "")
	if got := count(); got != before {
		t.Errorf("%v are assigned, want %v again", got, before)
	}
	env.publish(t, "school.member_removed.v1", c.class.SchoolID, map[string]any{"school_id": c.class.SchoolID, "user_id": c.graded.ID, "role": "student"})
	testkit.Eventually(t, "the end of the membership in the school", func() error {
		if res := s.Do(t, request{Method: "GET", Path: graded.path + "/submission", Token: c.graded.Token}); res.Status != 404 {
			return fmt.Errorf("got %d %s", res.Status, res.Body)
		}
		return nil
	})
	assertCounts(t, env.db)
}

func containsID(res response, id string) bool { return bytes.Contains(res.Body, []byte(id)) }

// TestHandInsAreLimited hands in other work until it is refused: what is kept of one student has an end.
func TestHandInsAreLimited(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	w := c.createWork(t, s)
	const most = 100
	for n := range most {
		w.handIn(c.student, map[string]any{"content": fmt.Sprint("version ", n)}, 200, "")
	}
	w.handIn(c.student, map[string]any{"content": "one more"}, 409, "too_many_hand_ins")
	w.handIn(c.student, map[string]any{"content": fmt.Sprint("version ", most-1)}, 200, "") // the same as before
	assertFields(t, "the work", w.own(c.student), map[string]any{"hand_ins": most, "content": fmt.Sprint("version ", most-1)})
	w.grade(c.student, 7)
}
