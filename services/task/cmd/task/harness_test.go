package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgo/pkg/testing/servicetest"
	"pgo/pkg/testing/testkit"
	"pgo/services/task/events"
	"pgo/services/task/migrations"
)

type (
	request  = servicetest.Request
	response = servicetest.Response
)

// world is a servicetest.World with somebody who signs tokens and a School that tells of its classes.
type world struct {
	*servicetest.Env
	iss *servicetest.Issuer
	db  *sql.DB // past the service

	mu       sync.Mutex
	sequence map[string]int64 // of the last event about each aggregate
}

// program is the program under test.
func program() servicetest.Service {
	return servicetest.Service{
		Name: "task", Migrations: migrations.FS, Topology: events.Topology(), ConfigDir: "../../../../configs", Run: withStdin(""),
		Secrets: []string{"a secret answer", "@example.org"},
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{iss: servicetest.NewIssuer(t), sequence: map[string]int64{}}
	w.Env = servicetest.NewEnv(t, program())
	w.Environ = append(w.Environ, w.iss.Environ()...)
	w.db = w.DB.Open(t)
	return w
}

// withStdin is run with something to read.
func withStdin(text string) func(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	return func(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
		return run(ctx, args, environ, strings.NewReader(text), stdout, stderr)
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// tell publishes the next event about an aggregate, as its service would.
func (w *world) tell(t testing.TB, typ, subject string, data map[string]any) {
	t.Helper()
	w.mu.Lock()
	w.sequence[subject]++
	n := w.sequence[subject]
	w.mu.Unlock()
	source, _, _ := strings.Cut(typ, ".")
	if source == "class" {
		source = "school"
	}
	w.Publish(t, source, typ, subject, n, data)
}

// person is somebody with a token.
type person struct {
	ID, Name, Token string
}

func (w *world) person(t testing.TB, name, role string) person {
	t.Helper()
	p := person{ID: newID(), Name: name}
	p.Token = w.iss.NewToken(p.ID, role)
	w.tell(t, "user.created.v1", p.ID, map[string]any{"id": p.ID, "name": name, "email": name + "@example.org", "role": role, "status": "active"})
	return p
}

// class is a class that School has told of.
type class struct {
	w            *world
	ID, SchoolID string
}

func (w *world) class(t testing.TB) class {
	t.Helper()
	c := class{w: w, ID: newID(), SchoolID: newID()}
	w.tell(t, "school.created.v1", c.SchoolID, map[string]any{"id": c.SchoolID, "name": "School", "timezone": "Europe/Berlin"})
	w.tell(t, "class.created.v1", c.ID, map[string]any{"id": c.ID, "school_id": c.SchoolID, "name": "1a", "grade": "1"})
	return c
}

func (c class) member(t testing.TB, event, userID, role string) {
	t.Helper()
	c.w.tell(t, event, c.ID, map[string]any{"class_id": c.ID, "school_id": c.SchoolID, "user_id": userID, "role": role})
}

// join has School tell that people are in the class, and waits until the service knows.
func (c class) join(t testing.TB, role string, people ...person) {
	t.Helper()
	for _, p := range people {
		c.member(t, "class.member_added.v1", p.ID, role)
	}
	c.w.settled(t)
}

// leave is the opposite of join.
func (c class) leave(t testing.TB, role string, people ...person) {
	t.Helper()
	for _, p := range people {
		c.member(t, "class.member_removed.v1", p.ID, role)
	}
	c.w.settled(t)
}

// settled waits until every event that was told is known.
func (w *world) settled(t testing.TB) {
	t.Helper()
	w.mu.Lock()
	var told int64
	for _, n := range w.sequence {
		told += n
	}
	w.mu.Unlock()
	testkit.Eventually(t, "all events", func() error {
		var known int64
		if err := w.db.QueryRow("SELECT COUNT(*) FROM pgo_inbox").Scan(&known); err != nil {
			return err
		}
		if known < told {
			return fmt.Errorf("%d of %d are known", known, told)
		}
		return nil
	})
}

// fannedOut waits until no assignment is still to be made.
func (w *world) fannedOut(t testing.TB) {
	t.Helper()
	testkit.Eventually(t, "all assignments", func() error {
		var left int
		if err := w.db.QueryRow("SELECT COUNT(*) FROM fanouts").Scan(&left); err != nil {
			return err
		}
		if left > 0 {
			return fmt.Errorf("%d tasks are not done", left)
		}
		return nil
	})
}

// cast is a class with the people whom calls are tried with, and a task in each state. Somebody who is "out" has left.
type cast struct {
	class                          class
	teacher, colleague             person
	student, submitted, graded     person // the second has handed in all that is not a draft, the third has grades as well
	out, stranger, admin, newcomer person // admin is one of the platform
}

func (w *world) cast(t testing.TB, s *servicetest.Instance) cast {
	t.Helper()
	c := cast{
		class: w.class(t), teacher: w.person(t, "Teacher", "user"), colleague: w.person(t, "Colleague", "user"), student: w.person(t, "Student", "user"),
		submitted: w.person(t, "Submitted", "user"), graded: w.person(t, "Graded", "user"), out: w.person(t, "Out", "user"),
		stranger: w.person(t, "Stranger", "user"), admin: w.person(t, "Admin", "admin"), newcomer: w.person(t, "Newcomer", "user"),
	}
	c.class.join(t, "teacher", c.teacher, c.colleague)
	c.class.join(t, "student", c.student, c.submitted, c.graded, c.out)
	c.class.leave(t, "student", c.out)
	return c
}

// draft makes a task that nobody but teachers sees.
func (c cast) draft(t testing.TB, s *servicetest.Instance) string {
	t.Helper()
	return s.Expect(t, request{Method: "POST", Path: "/api/v1/tasks", Token: c.teacher.Token, Body: map[string]any{
		"class_id": c.class.ID, "title": "Chapter 3", "description": "Read it.\nThen write.", "max_score": 20, "due_at": time.Now().Add(time.Hour),
	}}, 201, "").Text("id")
}

// published makes a task that every student of the class has, with what they have done.
func (c cast) published(t testing.TB, s *servicetest.Instance) string {
	t.Helper()
	id := c.draft(t, s)
	s.Expect(t, request{Method: "POST", Path: "/api/v1/tasks/" + id + "/publish", Token: c.teacher.Token}, 202, "")
	c.class.w.fannedOut(t)
	for _, p := range []person{c.submitted, c.graded} {
		s.Expect(t, request{Method: "PUT", Path: "/api/v1/tasks/" + id + "/submission", Token: p.Token, Body: map[string]any{"content": "a secret answer"}}, 200, "")
	}
	s.Expect(t, request{Method: "PUT", Path: "/api/v1/tasks/" + id + "/submissions/" + c.graded.ID + "/grade", Token: c.teacher.Token, Body: map[string]any{"score": 17, "feedback": "well done"}}, 200, "")
	return id
}

func (c cast) closed(t testing.TB, s *servicetest.Instance) string {
	t.Helper()
	id := c.published(t, s)
	s.Expect(t, request{Method: "POST", Path: "/api/v1/tasks/" + id + "/close", Token: c.teacher.Token}, 200, "")
	return id
}

// dump returns what is in the service's own tables, once the view has settled. When the relay has published an event is
// not among it.
func (w *world) dump(t testing.TB) string {
	t.Helper()
	w.settled(t)
	w.fannedOut(t)
	return servicetest.DumpRows(t, w.db, "SELECT * FROM tasks ORDER BY id", "SELECT * FROM assignments ORDER BY task_id, user_id", "SELECT * FROM submissions ORDER BY task_id, user_id",
		"SELECT id, event_id, type, subject, envelope FROM pgo_outbox ORDER BY id", "SELECT * FROM view_class_members ORDER BY class_id, user_id")
}

// exact fails the test unless each task's counts are what its assignments say.
func exact(t testing.TB, db *sql.DB) {
	t.Helper()
	rows, err := db.Query(`SELECT t.id, t.assigned_count, t.submitted_count, t.graded_count, COUNT(a.user_id), COALESCE(SUM(a.status IN ('submitted', 'graded')), 0), COALESCE(SUM(a.status = 'graded'), 0)
		FROM tasks t LEFT JOIN assignments a ON a.task_id = t.id GROUP BY t.id, t.assigned_count, t.submitted_count, t.graded_count`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var said, are [3]int
		if err := errors.Join(rows.Scan(&id, &said[0], &said[1], &said[2], &are[0], &are[1], &are[2]), rows.Err()); err != nil {
			t.Fatal(err)
		}
		if said != are {
			t.Errorf("task %s says it has %v assigned, submitted and graded, and there are %v", id, said, are)
		}
	}
}
