//go:build compose

package e2e

import (
	"sync"
	"testing"
	"time"

	"pgo/pkg/testing/testkit"
)

// writers write to each service, one thing after the other, and note what they were told is done.
type writers struct {
	s       *stack
	teacher person
	class   string
	stop    chan struct{}
	all     sync.WaitGroup
	each    []*writer
}

type writer struct {
	service string
	write   func() (answer, error)
	path    string // where what was written is found, before its id
	ids     []string
	failed  int
}

// newWriters makes what the writers need, while everything still works.
func (s *stack) newWriters(t *testing.T) *writers {
	t.Helper()
	w := &writers{s: s, teacher: s.newPerson(t, "Writer")}
	owner := s.newPerson(t, "Owner")
	school := s.newSchool(t, owner)
	s.join(t, school, owner, "teacher", w.teacher)
	w.class = s.newClass(t, school, owner)
	s.enrol(t, w.class, owner, "teacher", w.teacher)
	s.newTask(t, w.class, w.teacher)
	return w
}

// start lets them write until check.
func (w *writers) start(t *testing.T) {
	t.Helper()
	w.s.signIn(t, &w.teacher) // a long test outlives a token
	token := w.teacher.token
	w.stop = make(chan struct{})
	w.each = []*writer{
		{service: "user", path: "/api/v1/users/", write: func() (answer, error) {
			return w.s.call("POST", "/api/v1/auth/register", "", map[string]string{"email": newEmail(), "password": password, "name": "Kept"})
		}},
		{service: "school", path: "/api/v1/schools/", write: func() (answer, error) {
			return w.s.call("POST", "/api/v1/schools", token, map[string]string{"name": "Kept", "timezone": "Europe/Berlin"})
		}},
		{service: "task", path: "/api/v1/tasks/", write: func() (answer, error) {
			return w.s.call("POST", "/api/v1/tasks", token, aTask(w.class))
		}},
	}
	for _, one := range w.each {
		w.all.Go(func() { one.run(w.stop) })
	}
}

func (w *writer) run(stop <-chan struct{}) {
	for {
		pause := 10 * time.Millisecond
		a, err := w.write()
		if err == nil && a.Status == 201 {
			w.ids = append(w.ids, a.text("id"))
		} else {
			w.failed++
			pause = 50 * time.Millisecond // a storm of requests does not help an unavailable part
		}
		select {
		case <-stop:
			return
		case <-time.After(pause):
		}
	}
}

// check ends the writing and looks for all that was acknowledged.
func (w *writers) check(t *testing.T) {
	t.Helper()
	close(w.stop)
	w.all.Wait()
	admin := w.s.admin(t)
	w.s.signIn(t, &w.teacher)
	for _, one := range w.each {
		by := w.teacher
		if one.service == "user" {
			by = admin
		}
		for _, id := range one.ids {
			if a := w.s.want(t, 200, "GET", one.path+id, by.token, nil); a.text("id") != id {
				t.Errorf("what %s acknowledged is not there: %s", one.service, a.Body)
			}
		}
		if len(one.ids) == 0 {
			t.Errorf("nothing was ever acknowledged by %s", one.service)
		}
		t.Logf("%s: %d acknowledged, all there; %d calls failed meanwhile", one.service, len(one.ids), one.failed)
	}
}

// whole checks that everything works together again: calls, events between the services, mail, and every health check.
func (s *stack) whole(t *testing.T) {
	t.Helper()
	l := s.newLesson(nil)
	l.disturbed = true // a call may meet the last connection to what has gone
	l.run(t)
	s.mailArrives(t)
	s.healthy(t)
}

// noDeadLettersInside checks that no consumer in the runtime has given an event up.
func (s *stack) noDeadLettersInside(t *testing.T) {
	t.Helper()
	for _, service := range services() {
		testkit.Eventually(t, service+" has no dead letters", func() error {
			return noneIn(s.command("stack", "compose", "exec", "-T", "runtime", "pgo", "exec", service, "events", "dead", "list", "--json"))
		})
	}
}
