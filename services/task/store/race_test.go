package store_test

import (
	"errors"
	"sync"
	"testing"

	"gorm.io/gorm"

	"pgo/pkg/testing/testkit"
	"pgo/services/task"
	"pgo/services/task/view"
)

// checkLockWait returns nil if a transaction of this database waits for a lock. The server refreshes its list of lock waits only
// after a tenth of a second without queries, so the tests that query it do not run in parallel.
func (d database) checkLockWait() error {
	var n, slept int
	err := d.QueryRow(`SELECT SLEEP(0.2), (SELECT COUNT(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
		WHERE p.db = ? AND t.trx_state = 'LOCK WAIT')`, d.Name).Scan(&slept, &n)
	if err == nil && n == 0 {
		err = errors.New("no transaction waits for a lock")
	}
	return err
}

// TestPublishWhileStudentJoins stops the handler of a new member right after it has looked for open tasks,
// and publishes one: the handler has not seen it and the member is not committed, so the fan-out must wait for it.
func TestPublishWhileStudentJoins(t *testing.T) {
	d := newDatabase(t)
	s, _ := d.open(t, "")
	r := d.createClass(t, s, 3)
	handler, db := d.open(t, "")
	stopped, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	err := db.Callback().Query().After("gorm:query").Register("test:stop", func(tx *gorm.DB) {
		if tx.Statement.Table == "tasks" {
			once.Do(func() { close(stopped); <-release })
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	r.sequence++
	joined := make(chan error, 1)
	go func() {
		joined <- handler.Apply(t.Context(), consumer, newID(), view.ClassMember{ClassID: r.class, SchoolID: r.school, UserID: newID(), Role: task.RoleStudent, Sequence: r.sequence})
	}()
	<-stopped
	id := r.publish(t, s)
	made := make(chan error, 1)
	go func() { made <- fanOutAll(t.Context(), s) }()
	testkit.Eventually(t, "the fan-out waits, or is done", func() error {
		if len(made) > 0 {
			return nil
		}
		return d.checkLockWait()
	})
	close(release)
	if err := errors.Join(<-joined, <-made); err != nil {
		t.Fatal(err)
	}
	d.assertCounts(t, id, 4)
}

// TestHandInWhileStudentLeaves stops a hand-in right before its end: the student's assignment is kept, since the
// handler waits and then sees it.
func TestHandInWhileStudentLeaves(t *testing.T) {
	d := newDatabase(t)
	s, _ := d.open(t, "")
	r := d.createClass(t, s, 3)
	id := r.publish(t, s)
	if err := fanOutAll(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	student := r.students[1]
	slow, db := d.open(t, "")
	stopped, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	err := db.Callback().Update().Before("gorm:update").Register("test:stop", func(tx *gorm.DB) {
		if tx.Statement.Table == "tasks" {
			once.Do(func() { close(stopped); <-release })
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	handed, content := make(chan error, 1), "x"
	go func() {
		_, err := newService(slow).HandIn(t.Context(), student, id, task.SubmissionInput{Content: &content}, noCondition)
		handed <- err
	}()
	<-stopped
	r.sequence++
	left := make(chan error, 1)
	go func() {
		left <- s.Apply(t.Context(), consumer, newID(), view.ClassMember{ClassID: r.class, SchoolID: r.school, UserID: student, Role: task.RoleStudent, Removed: true, Sequence: r.sequence})
	}()
	testkit.Eventually(t, "the handler waits, or is done", func() error {
		if len(left) > 0 {
			return nil
		}
		return d.checkLockWait()
	})
	close(release)
	if err := errors.Join(<-handed, <-left); err != nil {
		t.Fatal(err)
	}
	d.assertCounts(t, id, 3)
	if n := d.count(t, "SELECT COUNT(*) FROM assignments WHERE status = 'submitted'"); n != 1 {
		t.Errorf("%d have handed in", n)
	}
}

// TestPurgeWhileFanningOut stops a batch of assignments right before its end, and deletes the class or its school for good: the
// deletion waits for the batch, and nothing of the class is left in the end, whatever was made meanwhile.
func TestPurgeWhileFanningOut(t *testing.T) {
	for name, deletion := range map[string]func(*testClass) view.Change{
		"class": func(r *testClass) view.Change {
			return view.Class{ID: r.class, SchoolID: r.school, Deleted: true, Sequence: r.sequence + 1}
		},
		"school": func(r *testClass) view.Change { return view.School{ID: r.school, Deleted: true, Sequence: 9} },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDatabase(t)
			other, _ := d.open(t, "")
			r := d.createClass(t, other, 1200)
			id := r.publish(t, other)
			slow, db := d.open(t, "")
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
			made, deleted := make(chan error, 1), make(chan error, 1)
			go func() { made <- fanOutAll(t.Context(), slow) }()
			<-stopped
			go func() { deleted <- other.Apply(t.Context(), consumer, newID(), deletion(r)) }()
			testkit.Eventually(t, "the deletion waits, or is done", func() error {
				if len(deleted) > 0 {
					return nil
				}
				return d.checkLockWait()
			})
			close(release)
			if err := errors.Join(<-made, <-deleted, fanOutAll(t.Context(), other)); err != nil {
				t.Fatal(err)
			}
			if err := other.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			left := d.count(t, `SELECT (SELECT COUNT(*) FROM tasks WHERE id = ?) + (SELECT COUNT(*) FROM assignments WHERE task_id = ?) + (SELECT COUNT(*) FROM fanouts)
				+ (SELECT COUNT(*) FROM view_class_members WHERE class_id = ?) + (SELECT COUNT(*) FROM view_classes WHERE NOT deleted)`, id, id, r.class)
			if left != 0 {
				t.Errorf("%d rows of a deleted class are left", left)
			}
		})
	}
}

// TestFanOutSkipsClaimedTask locks the row of one fan-out, as another process does: the other fan-out proceeds.
func TestFanOutSkipsClaimedTask(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s, _ := d.open(t, "")
	r := d.createClass(t, s, 3)
	held, free := r.publish(t, s), r.publish(t, s)
	tx, err := d.Begin()
	if err != nil {
		t.Fatal(err)
	}
	var locked string
	if err := tx.QueryRow("SELECT task_id FROM fanouts WHERE task_id = ? FOR UPDATE", held).Scan(&locked); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		if more, err := s.FanOutBatch(t.Context()); err != nil || more != want {
			t.Errorf("created a batch: %v, %v; want %v", more, err, want)
		}
	}
	d.assertCounts(t, free, 3)
	d.assertAssignedCount(t, held)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := fanOutAll(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	d.assertCounts(t, held, 3)
}
