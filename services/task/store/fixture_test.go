package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"pgo/pkg/testing/servicetest"
	"pgo/services/task"
	"pgo/services/task/migrations"
	"pgo/services/task/store"
	"pgo/services/task/view"
)

const consumer = "task.events"

// database is an empty database with the service's tables.
type database struct{ servicetest.Database }

func newDatabase(t testing.TB) database {
	t.Helper()
	return database{servicetest.NewDatabase(t, migrations.FS)}
}

// open returns a store on the database, as in another process, and its GORM. addr is the address of a proxy to the server,
// "" for the server itself.
func (d database) open(t testing.TB, addr string) (*store.Store, *gorm.DB) {
	t.Helper()
	db, c := d.Connect(t, addr)
	return store.New(db, c, "task", func() {}), db
}

// newService returns the service of the domain on a store.
func newService(s *store.Store) *task.Service {
	return &task.Service{Reader: s, Submissions: s, Writer: s, Wake: func() {}, Now: func() time.Time { return time.Now().UTC() }}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func (d database) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	if _, err := d.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func (d database) count(t testing.TB, query string, args ...any) int {
	t.Helper()
	var n int
	if err := d.QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// applyChanges applies changes to the view, each as an event of its own.
func applyChanges(t testing.TB, s *store.Store, changes ...view.Change) {
	t.Helper()
	for _, c := range changes {
		if err := s.Apply(t.Context(), consumer, newID(), c); err != nil {
			t.Fatal(err)
		}
	}
}

// testClass is a class with a teacher and students, whose ids are in order.
type testClass struct {
	school, class, teacher string
	students               []string
	sequence               int64
}

// createClass inserts a class of n students directly: other tests cover the view's own statements.
func (d database) createClass(t testing.TB, s *store.Store, n int) *testClass {
	t.Helper()
	r := &testClass{school: newID(), class: newID(), teacher: newID(), sequence: 1}
	applyChanges(t, s, view.Class{ID: r.class, SchoolID: r.school, Name: "1a", Sequence: 1})
	r.add(t, s, r.teacher, task.RoleTeacher)
	tx, err := d.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		r.sequence++
		id := newID()
		r.students = append(r.students, id)
		if _, err := tx.Exec("INSERT INTO view_class_members (class_id, user_id, role, removed, sequence) VALUES (?, ?, 'student', FALSE, ?)", r.class, id, r.sequence); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *testClass) add(t testing.TB, s *store.Store, user, role string) {
	t.Helper()
	r.sequence++
	applyChanges(t, s, view.ClassMember{ClassID: r.class, SchoolID: r.school, UserID: user, Role: role, Sequence: r.sequence})
}

func (r *testClass) remove(t testing.TB, s *store.Store, user string) {
	t.Helper()
	r.sequence++
	applyChanges(t, s, view.ClassMember{ClassID: r.class, SchoolID: r.school, UserID: user, Role: task.RoleStudent, Removed: true, Sequence: r.sequence})
}

// publish creates and publishes a task of the class.
func (r *testClass) publish(t testing.TB, s *store.Store) string {
	t.Helper()
	svc := newService(s)
	made, err := svc.CreateTask(t.Context(), r.teacher, task.NewTask{ClassID: r.class, Title: "Chapter 3", MaxScore: 20, DueAt: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.PublishTask(t.Context(), r.teacher, made.ID, noCondition); err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// fanOutAll creates all pending assignments.
func fanOutAll(ctx context.Context, s *store.Store) error {
	for {
		more, err := s.FanOutBatch(ctx)
		if err != nil || !more {
			return err
		}
	}
}

// assertCounts fails the test unless a task's counts match its assignments, and it is assigned to want students.
func (d database) assertCounts(t testing.TB, taskID string, want int) {
	t.Helper()
	var counts, actual [3]int
	err := d.QueryRow(`SELECT t.assigned_count, t.submitted_count, t.graded_count, COUNT(a.user_id), COALESCE(SUM(a.status IN ('submitted', 'graded')), 0), COALESCE(SUM(a.status = 'graded'), 0)
		FROM tasks t LEFT JOIN assignments a ON a.task_id = t.id AND a.withdrawn = FALSE WHERE t.id = ? GROUP BY t.id, t.assigned_count, t.submitted_count, t.graded_count`, taskID).
		Scan(&counts[0], &counts[1], &counts[2], &actual[0], &actual[1], &actual[2])
	if err != nil {
		t.Fatal(err)
	}
	if counts != actual || actual[0] != want {
		t.Errorf("task %s counts %v assigned, submitted and graded; there are %v, want %d assigned", taskID, counts, actual, want)
	}
	missing := d.count(t, `SELECT COUNT(*) FROM view_class_members m JOIN tasks t ON t.class_id = m.class_id LEFT JOIN assignments a ON a.task_id = t.id AND a.withdrawn = FALSE AND a.user_id = m.user_id
		WHERE t.id = ? AND m.removed = FALSE AND m.role = 'student' AND a.user_id IS NULL`, taskID)
	if missing > 0 {
		t.Errorf("%d students do not have task %s", missing, taskID)
	}
}

func formatValue(v any) string { return fmt.Sprintf("%+v", v) }
