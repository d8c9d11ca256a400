package main

import (
	"testing"
	"time"
)

// TestArchivingHidesTasks archives and restores a class and its school.
func TestArchivingHidesTasks(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	w := c.createWork(t, s)
	school := func(archivedAt any) {
		env.publish(t, "school.updated.v1", c.class.SchoolID, map[string]any{"id": c.class.SchoolID, "name": "School", "timezone": "Europe/Berlin", "archived_at": archivedAt})
	}
	class := func(archivedAt any) {
		env.publish(t, "class.updated.v1", c.class.ID, map[string]any{"id": c.class.ID, "school_id": c.class.SchoolID, "name": "1a", "grade": "1", "archived_at": archivedAt})
	}
	look := func(what string, status int) {
		t.Helper()
		env.awaitApplied(t)
		code := ""
		if status == 404 {
			code = "not_found"
		}
		for path, p := range map[string]person{"": c.teacher, "/stats": c.teacher, "/submissions/" + c.graded.ID: c.teacher, "/submission": c.graded} {
			s.Expect(t, request{Method: "GET", Path: w.path + path, Token: p.Token}, status, code)
		}
		for _, p := range []person{c.teacher, c.student} {
			if items := s.Expect(t, request{Method: "GET", Path: "/api/v1/tasks", Token: p.Token}, 200, "").Items(); (len(items) == 1) != (status == 200) {
				t.Errorf("%s: %s lists %v", what, p.Name, items)
			}
		}
	}
	look("at first", 200)
	for _, archive := range []func(any){school, class} {
		archive(time.Now())
		look("archived", 404)
		archive(nil)
		look("restored", 200)
	}
	school(time.Now())
	class(time.Now())
	school(nil)
	look("the class is archived, the school restored", 404)
	c.class.join(t, "student", c.newcomer) // a change of the class meanwhile does not show it
	look("someone joined", 404)
	class(nil)
	look("both are restored", 200)
	w.own(c.graded)
	if res := w.theirs(c.graded); res.JSON["score"] != 17.0 {
		t.Errorf("the graded work is %s", res.Body)
	}
	assertCounts(t, env.db)
}
