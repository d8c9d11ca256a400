package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"pgo/pkg/testkit"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	recorder := w.Events(t, "task.#")
	s := w.Start(t)
	c := w.cast(t, s)
	id := c.draft(t, s)
	path := "/api/v1/tasks/" + id
	var want []struct {
		typ  string
		data map[string]any
	}
	expect := func(typ string, data map[string]any) {
		want = append(want, struct {
			typ  string
			data map[string]any
		}{typ, data})
	}
	state := func(task map[string]any) map[string]any {
		data := map[string]any{}
		for _, field := range []string{"id", "class_id", "title", "status", "max_score", "due_at", "created_at", "updated_at"} {
			data[field] = task[field]
		}
		return data
	}
	s.Want(t, request{Method: "PATCH", Path: path, Token: c.teacher.Token, Body: map[string]any{"title": "Chapter 4"}}, 200, "") // a draft is nobody's business
	expect("task.published.v1", state(s.Want(t, request{Method: "POST", Path: path + "/publish", Token: c.teacher.Token}, 202, "").JSON))
	w.fannedOut(t)
	handIn := request{Method: "PUT", Path: path + "/submission", Token: c.student.Token, Body: map[string]any{"content": "a secret answer", "draft": true}}
	s.Want(t, handIn, 200, "")
	handIn.Body = map[string]any{"content": "a secret answer"}
	for range 2 { // again is something new
		got := s.Want(t, handIn, 200, "").JSON
		expect("task.submitted.v1", map[string]any{"task_id": id, "user_id": c.student.ID, "late": false, "submitted_at": got["submitted_at"]})
	}
	grade := request{Method: "PUT", Path: path + "/submissions/" + c.student.ID + "/grade", Token: c.teacher.Token, Body: map[string]any{"score": 12, "feedback": "a secret word"}}
	got := s.Want(t, grade, 200, "").JSON
	expect("task.graded.v1", map[string]any{"task_id": id, "user_id": c.student.ID, "score": 12.0, "max_score": 20.0, "graded_at": got["graded_at"]})
	// What is refused and what changes nothing makes no event.
	s.Want(t, grade, 200, "")
	s.Want(t, handIn, 409, "already_graded")
	s.Want(t, request{Method: "POST", Path: path + "/publish", Token: c.teacher.Token}, 409, "already_published")
	expect("task.closed.v1", state(s.Want(t, request{Method: "POST", Path: path + "/close", Token: c.teacher.Token}, 200, "").JSON))
	s.Want(t, request{Method: "POST", Path: path + "/close", Token: c.teacher.Token}, 200, "")

	testkit.Eventually(t, "the events", func() error {
		if events, _ := recorder.About(id); len(events) < len(want) {
			return fmt.Errorf("there are %d", len(events))
		}
		return nil
	})
	events, _ := recorder.About(id)
	if len(events) != len(want) {
		t.Fatalf("got %v, want %d events", events, len(want))
	}
	for i, e := range events {
		if e.Type != want[i].typ || e.Sequence != int64(i+1) || e.Source != "task" || uuid.Validate(e.ID) != nil || e.TraceParent == "" {
			t.Errorf("event %d is %s with sequence %d of %s, id %s, trace %q; want %s with %d", i, e.Type, e.Sequence, e.Source, e.ID, e.TraceParent, want[i].typ, i+1)
		}
		var data map[string]any
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(data), fmt.Sprint(want[i].data); got != want {
			t.Errorf("event %d carries %s\nwant %s", i, got, want)
		}
		if strings.Contains(string(e.Data), "secret") {
			t.Errorf("%s shows what was handed in", e.Type)
		}
	}
}
