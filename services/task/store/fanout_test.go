package store_test

import (
	"context"
	"errors"
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

const bigClass = 3210 // six full batches and a bit

// TestFanOutGoesOnAfterAKill cuts the process that makes assignments off at every point where it talks to the
// database: what it was at is rolled back, and another one makes the rest.
func TestFanOutGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"cancelled", "cut off"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			sound, _ := d.open(t, "")
			r := d.makeRoom(t, sound, bigClass)
			id := r.publish(t, sound)
			killed := 0
			for statement := 1; ; statement++ {
				link := testkit.NewLink(t, d.Addr)
				doomed, db := d.open(t, link.Addr())
				ctx, cancel := context.WithCancel(t.Context())
				die := cancel
				if how == "cut off" {
					die = link.Cut
				}
				after(t, db, statement%23+1, die)
				err := fanOut(ctx, doomed)
				cancel()
				if err == nil {
					break
				}
				killed++
				d.exec(t, "UPDATE fanouts SET next_at = UTC_TIMESTAMP(6)") // a task that failed waits for a while
				d.exact2(t, id)
				if killed > 100 {
					t.Fatalf("it is not done after %d tries: %v", killed, err)
				}
				if killed%10 == 0 { // and one that gets a batch done
					if _, err := sound.FanOutBatch(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			if killed < 5 {
				t.Errorf("it was killed only %d times", killed)
			}
			d.exact(t, id, bigClass)
			if left := d.count(t, "SELECT COUNT(*) FROM fanouts"); left != 0 {
				t.Errorf("%d fan-outs are left", left)
			}
		})
	}
}

// exact2 fails the test unless a task's count is that of its assignments, however many there are.
func (d database) exact2(t testing.TB, id string) {
	t.Helper()
	if said, are := d.count(t, "SELECT assigned_count FROM tasks WHERE id = ?", id), d.count(t, "SELECT COUNT(*) FROM assignments WHERE task_id = ?", id); said != are {
		t.Errorf("the task says %d, and %d are assigned", said, are)
	}
}

// after calls f after the n-th statement that the store sends.
func after(t testing.TB, db *gorm.DB, n int, f func()) {
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

// TestFanOutByManyAtOnce has several processes make the assignments of several tasks while people join and leave.
func TestFanOutByManyAtOnce(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s, _ := d.open(t, "")
	r := d.makeRoom(t, s, bigClass)
	small := d.makeRoom(t, s, 3)
	ids := []string{r.publish(t, s), r.publish(t, s)}
	smallID := small.publish(t, s)
	var workers sync.WaitGroup
	for range 3 {
		mine, _ := d.open(t, "")
		workers.Go(func() {
			if err := fanOut(t.Context(), mine); err != nil {
				t.Error(err)
			}
		})
	}
	const leave, join = 60, 60
	for i := range leave {
		r.remove(t, s, r.students[i*bigClass/leave]) // from all over the order in which assignments are made
	}
	for range join {
		r.add(t, s, newID(), task.RoleStudent) // behind everybody
	}
	for i := range leave / 2 {
		r.add(t, s, r.students[i*bigClass/leave], task.RoleStudent) // back again
	}
	workers.Wait()
	if err := fanOut(t.Context(), s); err != nil { // in case all were busy with the same
		t.Fatal(err)
	}
	for _, id := range ids {
		d.exact(t, id, bigClass-leave/2+join)
	}
	d.exact(t, smallID, 3)
}

// TestASmallClassDoesNotWaitForALargeOne publishes to a large class first.
func TestASmallClassDoesNotWaitForALargeOne(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s, _ := d.open(t, "")
	large, small := d.makeRoom(t, s, bigClass), d.makeRoom(t, s, 3)
	large.publish(t, s)
	id := small.publish(t, s)
	for range 2 {
		if _, err := s.FanOutBatch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	d.exact(t, id, 3)
}

// TestFanOutBlocksNobody stops a batch right before its last statement, with everything locked that it ever locks but
// the row of the task itself, and makes every call that a teacher or a student makes meanwhile: none waits. The lock
// wait is a second, and one that waited would fail.
func TestFanOutBlocksNobody(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s, db := d.open(t, "")
	r := d.makeRoom(t, s, 1200)
	id := r.publish(t, s)
	if _, err := s.FanOutBatch(t.Context()); err != nil { // the first 500 have it
		t.Fatal(err)
	}
	stopped, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	err := db.Callback().Raw().Before("gorm:raw").Register("test:stop", func(tx *gorm.DB) {
		if tx.Statement.SQL.String() == "UPDATE tasks SET assigned_count = assigned_count + ?, version = version + 1 WHERE id = ?" {
			once.Do(func() { close(stopped); <-release })
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := s.FanOutBatch(t.Context()); done <- err }()
	<-stopped

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
	svc := service(others)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	student := r.students[7]
	first := page.Request[task.UserKey]{Limit: 20}
	score, title := 5, "New"
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
			_, err := svc.HandIn(ctx, student, id, task.SubmissionInput{Content: "x", IsDraft: true}, noCondition)
			return err
		}},
		{"hand in", func() error {
			_, err := svc.HandIn(ctx, student, id, task.SubmissionInput{Content: "x"}, noCondition)
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
			return svc.StreamGrades(ctx, r.teacher, id, func(task.Task) error { return nil }, func([]task.Grade) error { return nil })
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
		t.Errorf("the batch was not under way all the time: %v", err)
	default:
	}
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := fanOut(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	d.exact(t, id, 1200)
	d.exact(t, draft.ID, 1200)
}

// TestCountsAreExact has students hand in, teachers grade and people come and go all at once.
func TestCountsAreExact(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s, _ := d.open(t, "")
	const n = 40
	r := d.makeRoom(t, s, n)
	id := r.publish(t, s)
	if err := fanOut(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	svc := service(s)
	var all sync.WaitGroup
	for i, student := range r.students {
		score := i % 20
		all.Go(func() {
			for range 3 {
				if _, err := svc.HandIn(t.Context(), student, id, task.SubmissionInput{Content: "x"}, noCondition); err != nil && !expected(err, task.ErrAlreadyGraded) {
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
	all.Go(func() { // while others come and go
		for range 20 {
			user := newID()
			r.add(t, s, user, task.RoleStudent)
			r.remove(t, s, user)
		}
	})
	all.Wait()
	d.exact(t, id, n)
	stats, _, err := svc.GetStats(t.Context(), r.teacher, id)
	if err != nil || stats.Assigned != n || stats.Submitted != n || stats.Graded != n/2 {
		t.Errorf("stats are %s, %v", format(stats), err)
	}
	var events, last int
	if err := d.QueryRow("SELECT COUNT(*), (SELECT sequence FROM tasks WHERE id = ?) FROM pgo_outbox WHERE subject = ?", id, id).Scan(&events, &last); err != nil || events != last {
		t.Errorf("%d events, and the last has the number %d, %v", events, last, err)
	}
}

func expected(err error, others ...error) bool {
	for _, e := range others {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

var _ task.FanOutStore = (*store.Store)(nil)
