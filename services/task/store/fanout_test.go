package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"pgo/pkg/entity"
	"pgo/pkg/page"
	"pgo/pkg/testing/testkit"
	"pgo/services/task"
	"pgo/services/task/store"
)

var noCondition entity.Condition

const bigClass = 3210 // six full batches and a part of one

// TestFanOutResumesAfterCrash interrupts the process that creates assignments after each of its statements: the
// current transaction is rolled back, and another process creates the rest.
func TestFanOutResumesAfterCrash(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"cancelled", "disconnected"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			healthy, _ := d.open(t, "")
			r := d.createClass(t, healthy, bigClass)
			id := r.publish(t, healthy)
			killed := 0
			for statement := 1; ; statement++ {
				link := testkit.NewLink(t, d.Addr)
				doomed, db := d.open(t, link.Addr())
				ctx, cancel := context.WithCancel(t.Context())
				die := cancel
				if how == "disconnected" {
					die = link.Cut
				}
				callAfterStatements(t, db, statement%23+1, die)
				err := fanOutAll(ctx, doomed)
				cancel()
				if err == nil {
					break
				}
				killed++
				d.exec(t, "UPDATE fanouts SET next_at = UTC_TIMESTAMP(6)") // a task that failed waits for a while
				d.assertAssignedCount(t, id)
				if killed > 100 {
					t.Fatalf("not finished after %d attempts: %v", killed, err)
				}
				if killed%10 == 0 { // and one that gets a batch done
					if _, err := healthy.FanOutBatch(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			if killed < 5 {
				t.Errorf("interrupted only %d times", killed)
			}
			d.assertCounts(t, id, bigClass)
			if left := d.count(t, "SELECT COUNT(*) FROM fanouts"); left != 0 {
				t.Errorf("%d fan-outs are left", left)
			}
		})
	}
}

// assertAssignedCount fails the test unless a task's count of assignments is right.
func (d database) assertAssignedCount(t testing.TB, id string) {
	t.Helper()
	if counted, actual := d.count(t, "SELECT assigned_count FROM tasks WHERE id = ?", id), d.count(t, "SELECT COUNT(*) FROM assignments WHERE task_id = ?", id); counted != actual {
		t.Errorf("the task counts %d assignments, there are %d", counted, actual)
	}
}

// callAfterStatements calls f after the n-th statement that the store sends.
func callAfterStatements(t testing.TB, db *gorm.DB, n int, f func()) {
	t.Helper()
	var sent atomic.Int64
	note := func(*gorm.DB) {
		if sent.Add(1) == int64(n) {
			f()
		}
	}
	err := errors.Join(db.Callback().Query().After("gorm:query").Register("test:note", note), db.Callback().Create().After("gorm:create").Register("test:note", note),
		db.Callback().Delete().After("gorm:delete").Register("test:note", note), db.Callback().Raw().After("gorm:raw").Register("test:note", note))
	if err != nil {
		t.Fatal(err)
	}
}

// TestConcurrentFanOuts runs several fan-outs of several tasks while students join and leave.
func TestConcurrentFanOuts(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s, _ := d.open(t, "")
	r := d.createClass(t, s, bigClass)
	small := d.createClass(t, s, 3)
	ids := []string{r.publish(t, s), r.publish(t, s)}
	smallID := small.publish(t, s)
	var workers sync.WaitGroup
	for range 3 {
		mine, _ := d.open(t, "")
		workers.Go(func() {
			if err := fanOutAll(t.Context(), mine); err != nil {
				t.Error(err)
			}
		})
	}
	const leave, join = 60, 60
	for i := range leave {
		r.remove(t, s, r.students[i*bigClass/leave]) // spread over the order in which assignments are created
	}
	for range join {
		r.add(t, s, newID(), task.RoleStudent) // after all others in that order
	}
	for i := range leave / 2 {
		r.add(t, s, r.students[i*bigClass/leave], task.RoleStudent) // back again
	}
	workers.Wait()
	if err := fanOutAll(t.Context(), s); err != nil { // in case all workers were busy with the same task
		t.Fatal(err)
	}
	for _, id := range ids {
		d.assertCounts(t, id, bigClass-leave/2+join)
	}
	d.assertCounts(t, smallID, 3)
}

// TestFanOutServesSmallClassBesideLargeOne publishes to a large class first: the small class gets its turn after one batch.
func TestFanOutServesSmallClassBesideLargeOne(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s, _ := d.open(t, "")
	large, small := d.createClass(t, s, bigClass), d.createClass(t, s, 3)
	large.publish(t, s)
	id := small.publish(t, s)
	for range 2 {
		if _, err := s.FanOutBatch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	d.assertCounts(t, id, 3)
}

// TestFanOutDoesNotBlockRequests stops a batch right before its last statement, with everything locked that it ever locks but
// the row of the task itself, and makes every call that a teacher or a student makes meanwhile: none waits. The lock
// wait is a second, and one that waited would fail.
func TestFanOutDoesNotBlockRequests(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s, db := d.open(t, "")
	r := d.createClass(t, s, 1200)
	id := r.publish(t, s)
	if _, err := s.FanOutBatch(t.Context()); err != nil { // the first 500 have it
		t.Fatal(err)
	}
	stopped, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	err := db.Callback().Raw().Before("gorm:raw").Register("test:stop", func(tx *gorm.DB) {
		if tx.Statement.SQL.String() == "UPDATE tasks SET assigned_count = assigned_count + ?, revision = revision + 1 WHERE id = ?" {
			once.Do(func() { close(stopped); <-release })
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := s.FanOutBatch(t.Context()); done <- err }()
	select {
	case <-stopped:
	case err := <-done:
		t.Fatalf("the batch ended before it counted: %v", err)
	}

	others, odb := d.open(t, "")
	pool, err := odb.DB()
	if err != nil {
		t.Fatal(err)
	}
	pool.SetMaxOpenConns(1)
	d.exec(t, "SELECT 1")
	if err := odb.Exec("SET innodb_lock_wait_timeout = 1").Error; err != nil {
		t.Fatal(err)
	}
	svc := newService(others)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	student := r.students[7]
	first := page.Request[task.UserKey]{Limit: 20}
	score, title, content, isDraft := 5, "New", "x", true
	var draft task.Task
	for _, call := range []struct {
		name string
		make func() error
	}{
		{"get by a student", func() error { _, err := svc.GetTask(ctx, student, id); return err }},
		{"list by a student", func() error {
			_, err := svc.ListTasks(ctx, student, task.TaskFilter{OnlyAssigned: true}, page.Request[task.TaskKey]{Limit: 20})
			return err
		}},
		{"save a draft", func() error {
			_, err := svc.HandIn(ctx, student, id, task.SubmissionInput{Content: &content, IsDraft: &isDraft}, noCondition)
			return err
		}},
		{"hand in", func() error {
			_, err := svc.HandIn(ctx, student, id, task.SubmissionInput{Content: &content}, noCondition)
			return err
		}},
		{"grade", func() error {
			_, err := svc.GradeSubmission(ctx, r.teacher, id, student, task.GradeInput{Score: &score}, noCondition)
			return err
		}},
		{"list assignments", func() error { _, err := svc.ListAssignments(ctx, r.teacher, id, "", first); return err }},
		{"list submissions", func() error { _, err := svc.ListSubmissions(ctx, r.teacher, id, first); return err }},
		{"stats", func() error { _, _, err := svc.GetStats(ctx, r.teacher, id); return err }},
		{"grades", func() error {
			return svc.StreamGrades(ctx, r.teacher, id, func(task.Task, *time.Location) error { return nil }, func([]task.Grade) error { return nil })
		}},
		{"set another task", func() (err error) {
			draft, err = svc.CreateTask(ctx, r.teacher, task.NewTask{ClassID: r.class, Title: "Next", MaxScore: 1, DueAt: time.Now()})
			return err
		}},
		{"publish another task", func() error { _, err := svc.PublishTask(ctx, r.teacher, draft.ID, noCondition); return err }},
		{"change the task", func() error {
			_, err := svc.UpdateTask(ctx, r.teacher, id, task.TaskPatch{Title: &title}, noCondition)
			return err
		}},
		{"close the task", func() error { _, err := svc.CloseTask(ctx, r.teacher, id, noCondition); return err }},
	} {
		if err := call.make(); err != nil {
			t.Errorf("%s, during a fan-out: %v", call.name, err)
		}
	}
	select {
	case err := <-done:
		t.Errorf("the batch ended during the calls: %v", err)
	default:
	}
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := fanOutAll(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	d.assertCounts(t, id, 1200)
	d.assertCounts(t, draft.ID, 1200)
}

// TestCountsUnderConcurrentChanges has students hand in, teachers grade, and students join and leave concurrently.
func TestCountsUnderConcurrentChanges(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s, _ := d.open(t, "")
	const n = 40
	r := d.createClass(t, s, n)
	id := r.publish(t, s)
	if err := fanOutAll(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	svc := newService(s)
	var all sync.WaitGroup
	for i, student := range r.students {
		score := i % 20
		all.Go(func() {
			for n := range 3 {
				content := fmt.Sprintf("version %d", n)
				if _, err := svc.HandIn(t.Context(), student, id, task.SubmissionInput{Content: &content}, noCondition); err != nil && !isOneOf(err, task.ErrAlreadyGraded) {
					t.Errorf("hand in: %v", err)
				}
			}
		})
		if i%2 == 0 {
			for range 2 {
				all.Go(func() {
					testkit.Eventually(t, "a grade", func() error {
						_, err := svc.GradeSubmission(t.Context(), r.teacher, id, student, task.GradeInput{Score: &score}, noCondition)
						return err
					})
				})
			}
		}
	}
	all.Go(func() { // while others join and leave
		for range 20 {
			user := newID()
			r.add(t, s, user, task.RoleStudent)
			r.remove(t, s, user)
		}
	})
	all.Wait()
	d.assertCounts(t, id, n)
	stats, _, err := svc.GetStats(t.Context(), r.teacher, id)
	if err != nil || stats.Assigned != n || stats.Submitted != n || stats.Graded != n/2 {
		t.Errorf("stats are %s, %v", formatValue(stats), err)
	}
	var events, last int
	if err := d.QueryRow("SELECT COUNT(*), (SELECT sequence FROM tasks WHERE id = ?) FROM pgo_outbox WHERE subject = ?", id, id).Scan(&events, &last); err != nil || events != last {
		t.Errorf("%d events, and the last has the number %d, %v", events, last, err)
	}
}

func isOneOf(err error, others ...error) bool {
	for _, e := range others {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

var _ task.FanOutStore = (*store.Store)(nil)
