package main

import (
	"net/url"
	"strings"
	"testing"
)

// maxPage is more than a page of any list has in bytes: a mebibyte of items, and what is around them.
const maxPage = 1<<20 + 200

// TestPagesAreBoundedInBytes lists the longest texts that the API accepts.
func TestPagesAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	const tasks, students = 60, 7
	for range tasks {
		s.Expect(t, request{Method: "POST", Path: "/api/v1/tasks", Token: c.teacher.Token, Body: map[string]any{
			"class_id": c.class.ID, "title": strings.Repeat("<", 200), "description": strings.Repeat("<", 20_000), "max_score": 20, "due_at": "2030-01-01T00:00:00Z",
		}}, 201, "")
	}
	list := s.Expect(t, request{Method: "GET", Path: "/api/v1/tasks?limit=100", Token: c.teacher.Token}, 200, "")
	if items := list.Items(); len(items) != tasks || len(list.Body) > maxPage {
		t.Errorf("%d tasks on a page of %d bytes", len(items), len(list.Body))
	}
	for _, item := range list.Items() {
		if _, has := item["description"]; has || item["title"] == nil || item["version"] != 1.0 {
			t.Fatalf("the list has %v", item)
		}
		one := s.Expect(t, request{Method: "GET", Path: "/api/v1/tasks/" + item["id"].(string), Token: c.teacher.Token}, 200, "")
		delete(one.JSON, "description")
		assertFields(t, "the task beside the list", one, item)
	}

	var all []person
	for range students {
		all = append(all, env.createPerson(t, "Pupil", "user"))
	}
	c.class.join(t, "student", all...)
	path := "/api/v1/tasks/" + c.createPublished(t, s)
	for _, p := range all {
		s.Expect(t, request{Method: "PUT", Path: path + "/submission", Token: p.Token, Body: map[string]any{"content": strings.Repeat("<", maxContent)}}, 200, "")
		s.Expect(t, request{Method: "PUT", Path: path + "/submissions/" + p.ID + "/grade", Token: c.teacher.Token, Body: map[string]any{"score": 1, "feedback": strings.Repeat("&", 10_000)}}, 200, "")
	}
	seen := map[any]int{}
	for cursor := ""; ; {
		res := s.Expect(t, request{Method: "GET", Path: path + "/submissions?limit=100&cursor=" + url.QueryEscape(cursor), Token: c.teacher.Token}, 200, "")
		if len(res.Body) > maxPage || len(res.Items()) == 0 {
			t.Fatalf("%d submissions on a page of %d bytes", len(res.Items()), len(res.Body))
		}
		for _, item := range res.Items() {
			seen[item["user_id"]] += len(item["content"].(string))
		}
		if cursor = res.Text("next_cursor"); cursor == "" {
			break
		}
	}
	for _, p := range all {
		if seen[p.ID] != maxContent {
			t.Errorf("the list has %d bytes of a student, want %d", seen[p.ID], maxContent)
		}
	}
	if len(seen) != students+2 {
		t.Errorf("the list has %d students, want %d", len(seen), students+2)
	}
}

const maxContent = 64 * 1024
