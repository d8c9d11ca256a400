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

// testEnv holds the servers of the instances, an issuer of tokens, and the sequence numbers of the events of a fake School.
type testEnv struct {
	*servicetest.Env
	issuer *servicetest.Issuer
	db     *sql.DB // past the service

	mu       sync.Mutex
	sequence map[string]int64 // of the last event about each aggregate
}

// program returns the program under test.
func program() servicetest.Service {
	return servicetest.Service{
		Name: "task", Migrations: migrations.FS, Topology: events.Topology(), ConfigDir: "../../../../configs", Run: withStdin(""),
		Secrets: []string{"a secret answer", "@example.org"},
	}
}

func newTestEnv(t *testing.T) *testEnv {
	t.Helper()
	env := &testEnv{issuer: servicetest.NewIssuer(t), sequence: map[string]int64{}}
	env.Env = servicetest.NewEnv(t, program())
	env.Environ = append(env.Environ, env.issuer.Environ()...)
	env.db = env.DB.Open(t)
	return env
}

// withStdin returns run with text as its standard input.
func withStdin(text string) func(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	return func(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
		return run(ctx, args, environ, strings.NewReader(text), stdout, stderr)
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// publish publishes the next event about an aggregate in place of its service.
func (env *testEnv) publish(t testing.TB, typ, subject string, data map[string]any) {
	t.Helper()
	env.mu.Lock()
	env.sequence[subject]++
	n := env.sequence[subject]
	env.mu.Unlock()
	source, _, _ := strings.Cut(typ, ".")
	if source == "class" {
		source = "school"
	}
	env.Publish(t, source, typ, subject, n, data)
}

// person is a user with an access token.
type person struct {
	ID, Name, Token string
}

func (env *testEnv) createPerson(t testing.TB, name, role string) person {
	t.Helper()
	p := person{ID: newID(), Name: name}
	p.Token = env.issuer.NewToken(p.ID, role)
	env.publish(t, "user.created.v1", p.ID, map[string]any{"id": p.ID, "name": name, "email": name + "@example.org", "role": role, "status": "active"})
	return p
}

// class is a class of the fake School.
type class struct {
	env          *testEnv
	ID, SchoolID string
}

func (env *testEnv) createClass(t testing.TB) class {
	t.Helper()
	c := class{env: env, ID: newID(), SchoolID: newID()}
	env.publish(t, "school.created.v1", c.SchoolID, map[string]any{"id": c.SchoolID, "name": "School", "timezone": "Europe/Berlin"})
	env.publish(t, "class.created.v1", c.ID, map[string]any{"id": c.ID, "school_id": c.SchoolID, "name": "1a", "grade": "1"})
	return c
}

func (c class) publishMember(t testing.TB, event, userID, role string) {
	t.Helper()
	c.env.publish(t, event, c.ID, map[string]any{"class_id": c.ID, "school_id": c.SchoolID, "user_id": userID, "role": role})
}

// join adds people to the class, and waits until the service has applied the events.
func (c class) join(t testing.TB, role string, people ...person) {
	t.Helper()
	for _, p := range people {
		c.publishMember(t, "class.member_added.v1", p.ID, role)
	}
	c.env.awaitApplied(t)
}

// leave removes people from the class, and waits until the service has applied the events.
func (c class) leave(t testing.TB, role string, people ...person) {
	t.Helper()
	for _, p := range people {
		c.publishMember(t, "class.member_removed.v1", p.ID, role)
	}
	c.env.awaitApplied(t)
}

// awaitApplied waits until every published event is applied.
func (env *testEnv) awaitApplied(t testing.TB) {
	t.Helper()
	env.mu.Lock()
	var published int64
	for _, n := range env.sequence {
		published += n
	}
	env.mu.Unlock()
	testkit.Eventually(t, "all events", func() error {
		var known int64
		if err := env.db.QueryRow("SELECT COUNT(*) FROM pgo_inbox").Scan(&known); err != nil {
			return err
		}
		if known < published {
			return fmt.Errorf("%d of %d are applied", known, published)
		}
		return nil
	})
}

// awaitFanOut waits until all assignments are created.
func (env *testEnv) awaitFanOut(t testing.TB) {
	t.Helper()
	testkit.Eventually(t, "all assignments", func() error {
		var left int
		if err := env.db.QueryRow("SELECT COUNT(*) FROM fanouts").Scan(&left); err != nil {
			return err
		}
		if left > 0 {
			return fmt.Errorf("%d fan-outs are not finished", left)
		}
		return nil
	})
}

// classroom is a class with a person of each kind, and creates tasks in each status.
type classroom struct {
	class                      class
	teacher, colleague         person
	student, submitted, graded person // submitted has handed in every published task, graded also has grades
	former                     person // has left the class
	outsider, admin, newcomer  person // admin is a platform admin
}

func (env *testEnv) createClassroom(t testing.TB, s *servicetest.Instance) classroom {
	t.Helper()
	c := classroom{
		class: env.createClass(t), teacher: env.createPerson(t, "Teacher", "user"), colleague: env.createPerson(t, "Colleague", "user"), student: env.createPerson(t, "Student", "user"),
		submitted: env.createPerson(t, "Submitted", "user"), graded: env.createPerson(t, "Graded", "user"), former: env.createPerson(t, "Out", "user"),
		outsider: env.createPerson(t, "Stranger", "user"), admin: env.createPerson(t, "Admin", "admin"), newcomer: env.createPerson(t, "Newcomer", "user"),
	}
	c.class.join(t, "teacher", c.teacher, c.colleague)
	c.class.join(t, "student", c.student, c.submitted, c.graded, c.former)
	c.class.leave(t, "student", c.former)
	return c
}

// createDraft creates a task that only teachers see.
func (c classroom) createDraft(t testing.TB, s *servicetest.Instance) string {
	t.Helper()
	return s.Expect(t, request{Method: "POST", Path: "/api/v1/tasks", Token: c.teacher.Token, Body: map[string]any{
		"class_id": c.class.ID, "title": "Chapter 3", "description": "Read it.\nThen write.", "max_score": 20, "due_at": time.Now().Add(time.Hour),
	}}, 201, "").Text("id")
}

// createPublished creates a published task that all students have, with a submission and a grade.
func (c classroom) createPublished(t testing.TB, s *servicetest.Instance) string {
	t.Helper()
	id := c.createDraft(t, s)
	s.Expect(t, request{Method: "POST", Path: "/api/v1/tasks/" + id + "/publish", Token: c.teacher.Token}, 202, "")
	c.class.env.awaitFanOut(t)
	for _, p := range []person{c.submitted, c.graded} {
		s.Expect(t, request{Method: "PUT", Path: "/api/v1/tasks/" + id + "/submission", Token: p.Token, Body: map[string]any{"content": "a secret answer"}}, 200, "")
	}
	s.Expect(t, request{Method: "PUT", Path: "/api/v1/tasks/" + id + "/submissions/" + c.graded.ID + "/grade", Token: c.teacher.Token, Body: map[string]any{"score": 17, "feedback": "well done"}}, 200, "")
	return id
}

func (c classroom) createClosed(t testing.TB, s *servicetest.Instance) string {
	t.Helper()
	id := c.createPublished(t, s)
	s.Expect(t, request{Method: "POST", Path: "/api/v1/tasks/" + id + "/close", Token: c.teacher.Token}, 200, "")
	return id
}

// dumpTables returns the rows of the service's own tables, once all events are applied, without the times at which the relay
// published events.
func (env *testEnv) dumpTables(t testing.TB) string {
	t.Helper()
	env.awaitApplied(t)
	env.awaitFanOut(t)
	return servicetest.DumpRows(t, env.db, "SELECT * FROM tasks ORDER BY id", "SELECT * FROM assignments ORDER BY task_id, user_id", "SELECT * FROM submissions ORDER BY task_id, user_id",
		"SELECT id, event_id, type, subject, envelope FROM pgo_outbox ORDER BY id", "SELECT * FROM view_class_members ORDER BY class_id, user_id")
}

// assertCounts fails the test unless each task's counts match its assignments.
func assertCounts(t testing.TB, db *sql.DB) {
	t.Helper()
	rows, err := db.Query(`SELECT t.id, t.assigned_count, t.submitted_count, t.graded_count, COUNT(a.user_id), COALESCE(SUM(a.status IN ('submitted', 'graded')), 0), COALESCE(SUM(a.status = 'graded'), 0)
		FROM tasks t LEFT JOIN assignments a ON a.task_id = t.id AND a.withdrawn = FALSE GROUP BY t.id, t.assigned_count, t.submitted_count, t.graded_count`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var counts, actual [3]int
		if err := errors.Join(rows.Scan(&id, &counts[0], &counts[1], &counts[2], &actual[0], &actual[1], &actual[2]), rows.Err()); err != nil {
			t.Fatal(err)
		}
		if counts != actual {
			t.Errorf("task %s counts %v assigned, submitted and graded; there are %v", id, counts, actual)
		}
	}
}
