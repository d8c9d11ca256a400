package store_test

import (
	"fmt"
	"testing"
	"time"

	"pgo/pkg/page"
	"pgo/pkg/testing/servicetest"
	"pgo/services/task"
)

// rowsOfEach is how many rows the tables have that lists read: enough for the server to choose its plans as it would in
// earnest.
const rowsOfEach = 100_000

// at returns the n-th id of a kind.
func at(kind string, n int) string { return fmt.Sprintf("01900000-0000-7000-%s-%012X", kind, n) }

const (
	userKind, classKind, taskKind = "8000", "9000", "a000"
	teaches                       = 12 // classes of the teacher
)

// fillTables makes 1000 classes of 100 members and 100 tasks each, of which most are published. Of the assignments, half are of
// the first task, and half are of user 1, who studies in all classes but those that user 0 teaches.
func (d database) fillTables(t testing.TB) {
	t.Helper()
	id := func(kind, n string) string {
		return "CONCAT('01900000-0000-7000-" + kind + "-', LPAD(HEX(" + n + "), 12, '0'))"
	}
	now := "UTC_TIMESTAMP(6)"
	for _, statement := range []string{
		"INSERT INTO people (id, name, deleted, sequence) SELECT " + id(userKind, "n") + ", CONCAT('N', n), FALSE, 1 FROM " + servicetest.Numbers,
		"INSERT INTO view_schools (id) SELECT " + id("b000", "n") + " FROM " + servicetest.Numbers + " WHERE n < 100",
		"INSERT INTO view_classes (id, school_id, name, deleted, sequence, sweep_until) SELECT " + id(classKind, "n") + ", " + id("b000", "n DIV 10") + ", 'C', FALSE, 1, NULL FROM " + servicetest.Numbers + " WHERE n < 1000",
		"INSERT INTO view_class_members SELECT " + id(classKind, "n DIV 100") + ", " + id(userKind, "n + 2") + ", 'student', FALSE, 1 FROM " + servicetest.Numbers,
		"INSERT INTO view_class_members SELECT " + id(classKind, "n") + ", " + id(userKind, "0") + ", 'teacher', FALSE, 1 FROM " + servicetest.Numbers + fmt.Sprintf(" WHERE n < %d", teaches),
		"INSERT INTO view_class_members SELECT " + id(classKind, "n") + ", " + id(userKind, "1") + ", 'student', FALSE, 1 FROM " + servicetest.Numbers + fmt.Sprintf(" WHERE n >= %d AND n < 1000", teaches),
		"INSERT INTO tasks (id, class_id, title, description, status, max_score, due_at, assigned_count, submitted_count, graded_count, version, sequence, created_by, created_at, updated_at, published_at, closed_at) SELECT " + id(taskKind, "n") + ", " + id(classKind, "n DIV 100") + ", 'T', '', ELT(1 + n % 10, 'draft', 'closed', 'published', 'published', 'published', 'published', 'published', 'published', 'published', 'published'), 20, " +
			now + " + INTERVAL n MINUTE, 50000, 25000, 12500, 1, 1, " + id(userKind, "0") + ", " + now + ", " + now + ", NULL, NULL FROM " + servicetest.Numbers,
		"INSERT INTO assignments (task_id, user_id, class_id, status, late, score, version, assigned_at, submitted_at, graded_at) SELECT " + id(taskKind, "2") + ", " + id(userKind, "n + 2") + ", " + id(classKind, "0") + ", ELT(1 + n % 4, 'assigned', 'assigned', 'submitted', 'graded'), FALSE, IF(n % 4 = 3, n % 20, NULL), IF(n % 4 > 1, 1, 0), " +
			now + ", NULL, NULL FROM " + servicetest.Numbers + " WHERE n < 50000",
		"INSERT INTO assignments (task_id, user_id, class_id, status, late, score, version, assigned_at, submitted_at, graded_at) SELECT " + id(taskKind, "n") + ", " + id(userKind, "1") + ", " + id(classKind, "n DIV 100") + ", 'assigned', FALSE, NULL, 0, " + now + ", NULL, NULL FROM " + servicetest.Numbers + " WHERE n >= 50000",
		"INSERT INTO submissions SELECT task_id, user_id, 'x', '', " + now + " FROM assignments WHERE status <> 'assigned'",
		"ANALYZE TABLE people, view_schools, view_classes, view_class_members, tasks, assignments, submissions",
	} {
		d.exec(t, statement)
	}
	for _, table := range []string{"people", "view_class_members", "tasks", "assignments"} {
		if n := d.count(t, "SELECT COUNT(*) FROM "+table); n < rowsOfEach {
			t.Fatalf("%s has %d rows", table, n)
		}
	}
}

// TestListsUseIndexes explains every statement that every list sends, on full tables: none reads a table or an
// index from end to end, and none sorts.
func TestListsUseIndexes(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.fillTables(t)
	s, db := d.open(t, "")
	sent := servicetest.RecordQueries(t, db)
	ctx := t.Context()
	firstTasks, behindTasks := page.Request[task.TaskKey]{Limit: 20}, page.Request[task.TaskKey]{Limit: 100, After: &task.TaskKey{ID: at(taskKind, 60_000)}}
	first, behind := page.Request[task.UserKey]{Limit: 20}, page.Request[task.UserKey]{Limit: 100, After: &task.UserKey{UserID: at(userKind, 30_000)}}
	big := task.Task{ID: at(taskKind, 2), DueAt: time.Now().Add(time.Hour)}
	lists := map[string]func() (int, error){}
	tasks := func(name, user string, f task.TaskFilter, p page.Request[task.TaskKey]) {
		lists[name] = func() (int, error) { list, err := s.ListTasks(ctx, user, f, p); return len(list.Items), err }
	}
	for who, user := range map[string]string{"teacher": at(userKind, 0), "student": at(userKind, 1)} {
		class := at(classKind, 700)
		if who == "teacher" {
			class = at(classKind, 5)
		}
		for where, p := range map[string]page.Request[task.TaskKey]{"first": firstTasks, "behind": behindTasks} {
			if who == "teacher" && where == "behind" {
				p.After = &task.TaskKey{ID: at(taskKind, 530)}
			}
			for _, status := range []string{"", task.StatusDraft, task.StatusPublished, task.StatusClosed} {
				if who == "student" && status == task.StatusDraft {
					continue
				}
				tasks(fmt.Sprintf("tasks of a %s, %s, status %q", who, where, status), user, task.TaskFilter{Status: status}, p)
				tasks(fmt.Sprintf("tasks of a %s, %s, status %q, due", who, where, status), user, task.TaskFilter{Status: status, DueBefore: time.Now().AddDate(1, 0, 0)}, p)
				tasks(fmt.Sprintf("tasks of a %s, %s, status %q, class", who, where, status), user, task.TaskFilter{Status: status, ClassID: class}, p)
				if who == "student" {
					tasks(fmt.Sprintf("tasks assigned, %s, status %q", where, status), user, task.TaskFilter{Status: status, OnlyAssigned: true}, p)
				}
			}
		}
	}
	for where, p := range map[string]page.Request[task.UserKey]{"first": first, "behind": behind} {
		for _, status := range []string{"", task.SubmissionAssigned, task.SubmissionSubmitted, task.SubmissionGraded} {
			lists[fmt.Sprintf("assignments, %s, status %q", where, status)] = func() (int, error) {
				list, err := s.ListAssignments(ctx, big, status, p)
				return len(list.Items), err
			}
		}
		lists["submissions, "+where] = func() (int, error) { list, err := s.ListSubmissions(ctx, big, p); return len(list.Items), err }
	}
	lists["grades"] = func() (int, error) {
		rows, err := s.ListGrades(ctx, big, []string{at(userKind, 30_000), at(userKind, 30_001)})
		return len(rows), err
	}
	lists["people with grades"] = func() (int, error) { users, err := s.ListGradedUsers(ctx, big); return len(users), err }
	lists["a task"] = func() (int, error) { _, err := s.FindPermissions(ctx, big.ID, at(userKind, 77)); return 1, err }
	lists["a submission"] = func() (int, error) { _, err := s.FindSubmission(ctx, big, at(userKind, 5)); return 1, err }

	for name, list := range lists {
		t.Run(name, func(t *testing.T) {
			*sent = nil
			items, err := list()
			if err != nil {
				t.Fatal(err)
			}
			if items == 0 {
				t.Error("the list is empty: it shows nothing")
			}
			if len(*sent) == 0 {
				t.Error("no statement was seen")
			}
			for _, q := range *sent {
				for _, complaint := range servicetest.InefficientSteps(t, d.DB, q) {
					t.Error(complaint)
				}
			}
		})
	}
}
