package main

import (
	"testing"
)

// TestRefusedCallsTakeNoLock holds the locks of all rows, as a change that hangs would, and makes every call of a change that is
// refused: each is answered all the same.
func TestRefusedCallsTakeNoLock(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.Start(t)
	c := env.createClassroom(t, s)
	type refusal struct {
		name    string
		request request
		status  int
	}
	var all []refusal
	for _, k := range calls() {
		if k.method == "GET" {
			continue
		}
		good := k.validRequest(t, c, s)
		as := func(name string, p person, status int) {
			all = append(all, refusal{k.name + " by " + name, good.With(func(r *request) { r.Token = p.Token }), status})
		}
		as("an outsider", c.outsider, 404)
		as("a student who left", c.former, 404)
		if k.student {
			as("a teacher", c.teacher, k.other)
		} else {
			as("a student", c.student, k.other)
		}
	}
	own := c.createPublished(t, s)
	c.class.join(t, "teacher", c.graded)
	for name, r := range map[string]request{
		"the grade of one's own work":        {Method: "PUT", Path: "/api/v1/tasks/" + own + "/submissions/" + c.graded.ID + "/grade", Body: map[string]any{"score": 20}},
		"an extension of one's own deadline": {Method: "PUT", Path: "/api/v1/tasks/" + own + "/extensions/" + c.graded.ID, Body: map[string]any{"due_at": "2030-01-01T00:00:00Z"}},
	} {
		r.Token = c.graded.Token
		all = append(all, refusal{name, r, 403})
	}
	env.awaitApplied(t)

	tx, err := env.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, table := range []string{"people", "view_schools", "view_classes", "view_class_members", "tasks", "assignments", "submissions"} {
		var n int
		if err := tx.QueryRow("SELECT COUNT(*) FROM " + table + " FOR UPDATE").Scan(&n); err != nil || n == 0 {
			t.Fatalf("%d rows of %s are locked, %v", n, table, err)
		}
	}
	codes := map[int]string{403: "forbidden", 404: "not_found"}
	for _, r := range all {
		t.Run(r.name, func(t *testing.T) { s.Expect(t, r.request, r.status, codes[r.status]) })
	}
}
