package e2e

import (
	"fmt"
	"slices"
	"testing"
)

// publishWhileDeleting publishes and deletes a draft at the same time: one of both wins.
func (r *racers) publishWhileDeleting(t *testing.T) {
	class := r.newClass(t)
	for range 5 {
		path := "/api/v1/tasks/" + r.s.newTask(t, class, r.teacher)
		got := r.atOnce(t, raceCall{method: "POST", path: path + "/publish", by: r.teacher}, raceCall{method: "DELETE", path: path, by: r.teacher})
		if got[202]+got[204] != 1 {
			t.Errorf("the statuses are %v, want a 202 or a 204", got)
		}
	}
}

// closeWhileHandingIn closes a task while each pupil hands in: whoever got 200 has handed in, and no one else.
func (r *racers) closeWhileHandingIn(t *testing.T) {
	task := r.s.newTask(t, r.newClass(t), r.teacher)
	r.s.publish(t, task, r.teacher, len(r.pupils))
	path := "/api/v1/tasks/" + task
	var calls []raceCall
	for i, p := range r.pupils {
		calls = append(calls, raceCall{method: "PUT", path: path + "/submission", by: p, body: map[string]any{"content": fmt.Sprint("work ", i)}})
	}
	calls = slices.Insert(calls, len(calls)/2, raceCall{method: "POST", path: path + "/close", by: r.teacher})
	got := r.atOnce(t, calls...)
	if got[200]+got[409] != len(calls) {
		t.Errorf("the statuses are %v, want 200 and 409", got)
	}
	closed := r.s.want(t, 200, "GET", path, r.teacher.token, nil)
	if n := closed.JSON["submitted_count"]; n != float64(got[200]-1) {
		t.Errorf("%v have handed in, and %d were told so", n, got[200]-1)
	}
}

// handInAtOnce sends the same work 20 times, as an impatient student or a client that repeats a call: it is one hand-in.
func (r *racers) handInAtOnce(t *testing.T) {
	task, p := r.s.newTask(t, r.newClass(t), r.teacher), r.pupils[0]
	r.s.publish(t, task, r.teacher, len(r.pupils))
	path := "/api/v1/tasks/" + task + "/submission"
	put := raceCall{method: "PUT", path: path, by: p, body: aSubmission()}
	if got := r.atOnce(t, slices.Repeat([]raceCall{put}, 20)...); got[200] != 20 {
		t.Errorf("the statuses are %v, want 20 times 200", got)
	}
	if mine := r.s.want(t, 200, "GET", path, p.token, nil); mine.JSON["hand_ins"] != 1.0 {
		t.Errorf("the hand-ins are %s", mine.Body)
	}
}

// gradeAtOnce lets 20 calls grade the same work: it counts once, with the grade of one of them.
func (r *racers) gradeAtOnce(t *testing.T) {
	task, p := r.s.newTask(t, r.newClass(t), r.teacher), r.pupils[0]
	r.s.publish(t, task, r.teacher, len(r.pupils))
	r.s.submit(t, task, p)
	path := "/api/v1/tasks/" + task
	var calls []raceCall
	for i := range 20 {
		calls = append(calls, raceCall{method: "PUT", path: path + "/submissions/" + p.id + "/grade", by: r.teacher, body: map[string]any{"score": i % 10}})
	}
	if got := r.atOnce(t, calls...); got[200] != 20 {
		t.Errorf("the statuses are %v, want 20 times 200", got)
	}
	if graded := r.s.want(t, 200, "GET", path, r.teacher.token, nil); graded.JSON["graded_count"] != 1.0 {
		t.Errorf("the task is %s", graded.Body)
	}
}
