package e2e

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgo/pkg/testing/testkit"
)

// archiveAndRestore archives and restores one class at the same time.
func (r *racers) archiveAndRestore(t *testing.T) {
	path := "/api/v1/classes/" + r.newClass(t)
	archive := raceCall{method: "DELETE", path: path, by: r.owner, body: map[string]string{"name": "7A"}}
	got := r.atOnce(t, slices.Repeat([]raceCall{archive, {method: "POST", path: path + "/restore", by: r.owner}}, 10)...)
	if restored, archived := got[200], got[204]; archived-restored != 0 && archived-restored != 1 {
		t.Errorf("archived %d times and restored %d times", archived, restored)
	}
}

// changeOneVersion sends 20 changes that are meant for the same version of a school and of a task.
func (r *racers) changeOneVersion(t *testing.T) {
	for path, field := range map[string]string{
		"/api/v1/schools/" + r.s.newSchool(t, r.teacher):            "name",
		"/api/v1/tasks/" + r.s.newTask(t, r.newClass(t), r.teacher): "title",
	} {
		tag := r.s.want(t, 200, "GET", path, r.teacher.token, nil).Header.Get("ETag")
		var calls []raceCall
		for i := range 20 {
			calls = append(calls, raceCall{method: "PATCH", path: path, by: r.teacher, body: map[string]string{field: fmt.Sprint("Change ", i)}, ifMatch: tag})
		}
		if got := r.atOnce(t, calls...); got[200] != 1 || got[412] != 19 {
			t.Errorf("%s: the statuses are %v, want one 200 and 19 times 412", field, got)
		}
	}
}

// refreshAtOnce refreshes in 20 tabs with the same token.
func (r *racers) refreshAtOnce(t *testing.T) {
	p := r.s.newPerson(t, "Tabs")
	refresh := raceCall{method: "POST", path: "/api/v1/auth/refresh", body: map[string]string{"refresh_token": p.refresh}}
	if got := r.atOnce(t, slices.Repeat([]raceCall{refresh}, 20)...); got[200] != 20 {
		t.Errorf("the statuses are %v, want 20 times 200", got)
	}
	list := r.s.want(t, 200, "GET", "/api/v1/auth/sessions", p.token, nil)
	if items, _ := list.JSON["items"].([]any); len(items) != 1 {
		t.Errorf("the sessions are %s", list.Body)
	}
}

func (r *racers) enrolAtOnce(t *testing.T) {
	late := r.s.newPerson(t, "Late")
	class := r.newClass(t)
	r.s.join(t, r.school, r.owner, "student", late)
	put := raceCall{method: "PUT", path: "/api/v1/classes/" + class + "/members/" + late.id, by: r.owner, body: map[string]string{"role": "student"}}
	if got := r.atOnce(t, slices.Repeat([]raceCall{put}, 20)...); got[201] != 1 || got[200] != 19 {
		t.Errorf("the statuses are %v, want one 201 and 19 times 200", got)
	}
}

// enrolWhileLeaving puts students into a class while they are removed from the school, and makes teachers of the class students
// of the school.
func (r *racers) enrolWhileLeaving(t *testing.T) {
	class := r.newClass(t)
	students, teachers := r.s.somePupils(t, 8), r.s.somePupils(t, 4)
	r.s.join(t, r.school, r.owner, "student", students...)
	r.s.join(t, r.school, r.owner, "teacher", teachers...)
	var calls []raceCall
	for _, p := range students {
		calls = append(calls,
			raceCall{method: "PUT", path: "/api/v1/classes/" + class + "/members/" + p.id, by: r.owner, body: map[string]string{"role": "student"}},
			raceCall{method: "DELETE", path: "/api/v1/schools/" + r.school + "/members/" + p.id, by: r.owner})
	}
	for _, p := range teachers {
		calls = append(calls,
			raceCall{method: "PUT", path: "/api/v1/classes/" + class + "/members/" + p.id, by: r.owner, body: map[string]string{"role": "teacher"}},
			raceCall{method: "PATCH", path: "/api/v1/schools/" + r.school + "/members/" + p.id, by: r.owner, body: map[string]string{"role": "student"}})
	}
	if got := r.atOnce(t, calls...); got[204] != len(students) || got[200] != len(teachers) {
		t.Errorf("the statuses are %v, want %d removals and %d changes of role", got, len(students), len(teachers))
	}
}

func (r *racers) renameWhileJoining(t *testing.T) {
	people := r.s.somePupils(t, 8)
	class, code := r.newClass(t), r.s.newInvite(t, r.school, r.owner, "student", len(people))
	var calls []raceCall
	for _, p := range people {
		calls = append(calls,
			raceCall{method: "POST", path: "/api/v1/invites/" + code + "/accept", by: p},
			raceCall{method: "PUT", path: "/api/v1/classes/" + class + "/members/" + p.id, by: r.owner, body: map[string]string{"role": "student"}},
			raceCall{method: "PATCH", path: "/api/v1/users/me", by: p, body: map[string]string{"name": "Renamed " + p.name}})
	}
	if got := r.atOnce(t, calls...); got[200] < len(people) {
		t.Errorf("the statuses are %v, want %d changes of name", got, len(people))
	}
}

// deleteAccountsWhileJoining deletes the accounts of students who hand in and join another school at that moment.
func (r *racers) deleteAccountsWhileJoining(t *testing.T) {
	people := r.s.somePupils(t, 6)
	class := r.newClass(t)
	r.s.join(t, r.school, r.owner, "student", people...)
	r.s.enrol(t, class, r.owner, "student", people...)
	task := r.s.newTask(t, class, r.teacher)
	r.s.publish(t, task, r.teacher, len(r.pupils)+len(people))
	other := r.s.newSchool(t, r.teacher)
	code := r.s.newInvite(t, other, r.teacher, "student", len(people))
	var calls []raceCall
	for _, p := range people {
		calls = append(calls,
			raceCall{method: "DELETE", path: "/api/v1/users/me", by: p, body: map[string]string{"password": password}},
			raceCall{method: "POST", path: "/api/v1/invites/" + code + "/accept", by: p},
			raceCall{method: "PUT", path: "/api/v1/tasks/" + task + "/submission", by: p, body: aSubmission()})
	}
	if got := r.atOnce(t, calls...); got[204] != len(people) {
		t.Errorf("the statuses are %v, want %d deletions", got, len(people))
	}
}

func (r *racers) purgeClassWhileAssigning(t *testing.T) { r.purgeWhileAssigning(t, "classes", "7A") }
func (r *racers) purgeSchoolWhileAssigning(t *testing.T) {
	r.purgeWhileAssigning(t, "schools", "School")
}

// purgeWhileAssigning holds the fan-out of a published task until the archived class or school was deleted for good. Then the
// fan-out and the deletion compete for the class.
func (r *racers) purgeWhileAssigning(t *testing.T, kind, name string) {
	owner, db := r.s.newPerson(t, "Founder"), openDatabases(t, r.s)
	school := r.s.newSchool(t, owner)
	r.s.join(t, school, owner, "teacher", r.teacher)
	r.s.join(t, school, owner, "student", r.pupils...)
	class := r.s.newClass(t, school, owner)
	r.s.enrol(t, class, owner, "teacher", r.teacher)
	r.s.enrol(t, class, owner, "student", r.pupils...)
	open, task := r.s.newTask(t, class, r.teacher), r.s.newTask(t, class, r.teacher)
	r.s.publish(t, open, r.teacher, len(r.pupils))
	r.s.submit(t, open, r.pupils[0])

	held, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Rollback() }()
	var locked string
	if err := held.QueryRow("SELECT id FROM pgo_task.view_classes WHERE id = ? FOR UPDATE", class).Scan(&locked); err != nil {
		t.Fatal(err)
	}
	purged := class
	if kind == "schools" {
		purged = school
	}
	r.s.want(t, 202, "POST", "/api/v1/tasks/"+task+"/publish", r.teacher.token, nil)
	got := r.atOnce(t, raceCall{method: "DELETE", path: "/api/v1/" + kind + "/" + purged, by: owner, body: map[string]string{"name": name}},
		raceCall{method: "PUT", path: "/api/v1/tasks/" + open + "/submission", by: r.pupils[1], body: aSubmission()})
	if got[204] != 1 {
		t.Errorf("the statuses are %v, want a 204", got)
	}
	if _, err := db.Exec("UPDATE pgo_school."+kind+" SET archived_at = archived_at - INTERVAL 31 DAY WHERE id = ?", purged); err != nil {
		t.Fatal(err)
	}
	r.s.must("pgo", "reload", "school") // the new process looks at once for what is to be deleted
	testkit.Eventually(t, "the deletion in School", func() error {
		err := db.QueryRow("SELECT id FROM pgo_school."+kind+" WHERE id = ?", purged).Scan(&locked)
		if err == nil {
			err = errors.New("it is still there")
		} else if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return err
	})
	if err := held.Rollback(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the deletion in Task", func() error {
		var n int
		err := db.QueryRow(`SELECT (SELECT COUNT(*) FROM pgo_task.tasks WHERE class_id = ?) + (SELECT COUNT(*) FROM pgo_task.assignments WHERE class_id = ?)
			+ (SELECT COUNT(*) FROM pgo_task.fanouts WHERE class_id = ?) + (SELECT COUNT(*) FROM pgo_task.view_class_members WHERE class_id = ?)`, class, class, class, class).Scan(&n)
		if err == nil && n > 0 {
			err = fmt.Errorf("%d rows are left", n)
		}
		return err
	})
	r.s.want(t, 404, "GET", "/api/v1/tasks/"+open, r.teacher.token, nil)
	r.s.want(t, 404, "GET", "/api/v1/"+kind+"/"+purged, owner.token, nil)
	r.s.want(t, 404, "POST", "/api/v1/"+kind+"/"+purged+"/restore", owner.token, nil)
}
