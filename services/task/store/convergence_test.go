package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pgo/pkg/event"
	"pgo/services/task/store"
	"pgo/services/task/view"
	"pgo/services/task/view/viewtest"
)

// TestViewConvergesToSchool makes random changes in School while tasks are published, and delivers its events late, out of
// order, concurrently and more than once, to consumers that are interrupted. In the end the view equals School, and every
// student of a class has each of its tasks.
func TestViewConvergesToSchool(t *testing.T) {
	t.Parallel()
	const runs = 12
	first := rand.Uint64()
	for run := range uint64(runs) {
		seed := first + run
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			s, _ := d.open(t, "")
			school, random := viewtest.New(t, seed), rand.New(rand.NewPCG(seed, 1))
			q := &queue{random: random}
			var tasks []string
			for round := range 12 {
				for range 25 {
					school.MakeRandomChange()
				}
				q.add(school.TakeEvents()...)
				q.deliver(t, s, round == 11)
				if round < 10 {
					tasks = append(tasks, d.openTasks(t)...)
				}
			}
			if err := fanOutAll(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			diff, err := school.FindDifferences(d.DB)
			if err != nil {
				t.Fatal(err)
			}
			if diff != "" {
				t.Errorf("seed %d: the view differs:\n%s", seed, diff)
			}
			for _, id := range tasks {
				var class string
				if err := d.QueryRow("SELECT class_id FROM tasks WHERE id = ?", id).Scan(&class); err != nil {
					t.Fatal(err)
				}
				for _, c := range school.ClassIDs() {
					if c == class {
						d.assertCounts(t, id, len(school.StudentIDs(class)))
					}
				}
			}
		})
	}
}

// openTasks puts a task that was just published into one of the classes that the view knows.
func (d database) openTasks(t testing.TB) []string {
	t.Helper()
	var class string
	err := d.QueryRow("SELECT id FROM view_classes WHERE deleted = FALSE ORDER BY RAND() LIMIT 1").Scan(&class)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	} else if err != nil {
		t.Fatal(err)
	}
	id := newID()
	d.exec(t, `INSERT INTO tasks (id, class_id, title, description, status, max_score, due_at, assigned_count, submitted_count, graded_count, version, sequence, created_by, created_at, updated_at)
		VALUES (?, ?, 'x', '', 'published', 10, UTC_TIMESTAMP(6), 0, 0, 0, 1, 1, ?, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))`, id, class, newID())
	d.exec(t, "INSERT INTO fanouts (task_id, class_id, after_user, next_at) VALUES (?, ?, '', UTC_TIMESTAMP(6))", id, class)
	return []string{id}
}

// queue is a broker at its worst.
type queue struct {
	mu      sync.Mutex
	random  *rand.Rand
	waiting []event.Event
}

func (q *queue) add(events ...event.Event) { q.waiting = append(q.waiting, events...) }

// next returns a random waiting event, which may stay in the queue, and the time after which its consumer is interrupted.
func (q *queue) next(all bool) (e event.Event, ended time.Duration, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 || !all && len(q.waiting) < 15 {
		return e, 0, false
	}
	i := q.random.IntN(len(q.waiting))
	e = q.waiting[i]
	if q.random.IntN(8) > 0 {
		q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
	}
	if q.random.IntN(6) == 0 {
		ended = time.Duration(1+q.random.IntN(3000)) * time.Microsecond
	}
	return e, ended, true
}

// deliver hands out most of what waits, or all, by several consumers at once, beside those who make assignments.
func (q *queue) deliver(t testing.TB, s *store.Store, all bool) {
	t.Helper()
	var work sync.WaitGroup
	for range 3 {
		work.Go(func() {
			for {
				e, ended, ok := q.next(all)
				if !ok {
					return
				}
				change, err := view.Decode(e)
				if err != nil {
					t.Errorf("%s: %v", e.Type, err)
					return
				}
				ctx, cancel := context.WithCancel(t.Context())
				if ended > 0 {
					time.AfterFunc(ended, cancel) // no deadline: a connection may notice that before the context does
				}
				err = s.Apply(ctx, consumer, e.ID, change)
				if err != nil && ctx.Err() == nil {
					t.Errorf("%s: %v", e.Type, err)
				}
				cancel()
				if err != nil { // it was not acknowledged
					q.mu.Lock()
					q.add(e)
					q.mu.Unlock()
				}
			}
		})
	}
	work.Go(func() {
		if err := fanOutAll(t.Context(), s); err != nil {
			t.Errorf("fan out: %v", err)
		}
	})
	work.Wait()
}
