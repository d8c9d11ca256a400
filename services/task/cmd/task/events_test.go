package main

import (
	"strings"
	"testing"

	"pgo/pkg/testing/servicetest"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	recorder := env.RecordEvents(t, "task.#")
	s := env.Start(t)
	c := env.createClassroom(t, s)
	id := c.createDraft(t, s)
	path := "/api/v1/tasks/" + id
	var want []servicetest.ExpectedEvent
	expect := func(typ string, data map[string]any) {
		want = append(want, servicetest.ExpectedEvent{Type: typ, Data: data})
	}
	state := func(task map[string]any) map[string]any {
		data := map[string]any{}
		for _, field := range []string{"id", "class_id", "title", "status", "max_score", "due_at", "created_at", "updated_at"} {
			data[field] = task[field]
		}
		return data
	}
	s.Expect(t, request{Method: "PATCH", Path: path, Token: c.teacher.Token, Body: map[string]any{"title": "Chapter 4"}}, 200, "") // a draft emits no event
	expect("task.published.v1", state(s.Expect(t, request{Method: "POST", Path: path + "/publish", Token: c.teacher.Token}, 202, "").JSON))
	env.awaitFanOut(t)
	handIn := request{Method: "PUT", Path: path + "/submission", Token: c.student.Token, Body: map[string]any{"content": "a secret answer", "draft": true}}
	s.Expect(t, handIn, 200, "")
	for _, content := range []string{"a secret answer", "a secret answer, better"} { // handing in again emits another event
		handIn.Body = map[string]any{"content": content}
		got := s.Expect(t, handIn, 200, "").JSON
		expect("task.submitted.v1", map[string]any{"task_id": id, "user_id": c.student.ID, "late": false, "submitted_at": got["submitted_at"]})
	}
	s.Expect(t, handIn, 200, "") // the same again
	grade := request{Method: "PUT", Path: path + "/submissions/" + c.student.ID + "/grade", Token: c.teacher.Token, Body: map[string]any{"score": 12, "feedback": "a secret word"}}
	got := s.Expect(t, grade, 200, "").JSON
	expect("task.graded.v1", map[string]any{"task_id": id, "user_id": c.student.ID, "score": 12.0, "max_score": 20.0, "graded_at": got["graded_at"]})
	// Rejected calls and calls that change nothing emit no event.
	handIn.Body = map[string]any{"content": "a secret answer, the best"}
	s.Expect(t, grade, 200, "")
	s.Expect(t, handIn, 409, "already_graded")
	s.Expect(t, request{Method: "POST", Path: path + "/publish", Token: c.teacher.Token}, 409, "already_published")
	expect("task.closed.v1", state(s.Expect(t, request{Method: "POST", Path: path + "/close", Token: c.teacher.Token}, 200, "").JSON))
	s.Expect(t, request{Method: "POST", Path: path + "/close", Token: c.teacher.Token}, 200, "")

	recorder.ExpectEvents(t, "task", id, want)
	for _, e := range recorder.All() {
		if strings.Contains(string(e.Data), "secret") {
			t.Errorf("%s contains the submission", e.Type)
		}
	}
}
