package e2e

import (
	"fmt"
	"testing"

	"pgo/pkg/testing/testkit"
)

// person is somebody with an account, and signed in unless token is "".
type person struct {
	id, name, email, token, refresh string
}

// newPerson signs somebody up and in.
func (s *stack) newPerson(t testing.TB, name string) person {
	t.Helper()
	p := person{name: name, email: newEmail()}
	p.id = s.want(t, 201, "POST", "/api/v1/auth/register", "", map[string]string{"email": p.email, "password": password, "name": name}).text("id")
	s.signIn(t, &p)
	return p
}

// signIn gives the person a new session.
func (s *stack) signIn(t testing.TB, p *person) {
	t.Helper()
	login := s.want(t, 200, "POST", "/api/v1/auth/login", "", map[string]string{"email": p.email, "password": password})
	p.token, p.refresh = login.text("access_token"), login.text("refresh_token")
}

// admin is the first admin that `make up` makes.
func (s *stack) admin(t testing.TB) person {
	t.Helper()
	login := s.want(t, 200, "POST", "/api/v1/auth/login", "", map[string]string{"email": "admin@pgo.local", "password": s.secret("admin_password")})
	p := person{name: "Admin", token: login.text("access_token")}
	p.id = s.want(t, 200, "GET", "/api/v1/users/me", p.token, nil).text("id")
	return p
}

// newSchool makes a school and returns its id.
func (s *stack) newSchool(t testing.TB, owner person) string {
	t.Helper()
	return s.want(t, 201, "POST", "/api/v1/schools", owner.token, map[string]string{"name": "School", "timezone": "Europe/Berlin"}).text("id")
}

// newInvite makes an invite for a school and returns its code.
func (s *stack) newInvite(t testing.TB, school string, by person, role string, uses int) string {
	t.Helper()
	return s.want(t, 201, "POST", "/api/v1/schools/"+school+"/invites", by.token, map[string]any{"role": role, "max_uses": uses, "expires_at": inDays(1)}).text("code")
}

// join brings people into a school by an invite.
func (s *stack) join(t testing.TB, school string, by person, role string, who ...person) {
	t.Helper()
	code := s.newInvite(t, school, by, role, len(who))
	for _, p := range who {
		s.want(t, 201, "POST", "/api/v1/invites/"+code+"/accept", p.token, nil)
	}
}

// newClass makes a class and returns its id.
func (s *stack) newClass(t testing.TB, school string, by person) string {
	t.Helper()
	return s.want(t, 201, "POST", "/api/v1/schools/"+school+"/classes", by.token, map[string]string{"name": "7A", "grade": "7"}).text("id")
}

// enrol puts people into a class.
func (s *stack) enrol(t testing.TB, class string, by person, role string, who ...person) {
	t.Helper()
	for _, p := range who {
		s.want(t, 201, "PUT", "/api/v1/classes/"+class+"/members/"+p.id, by.token, map[string]string{"role": role})
	}
}

// newTask sets a task as soon as Task knows of the class and its teacher, and returns its id.
func (s *stack) newTask(t testing.TB, class string, teacher person) string {
	t.Helper()
	var a answer
	testkit.Eventually(t, "a task can be set", func() (err error) {
		a, err = s.expect(201, "POST", "/api/v1/tasks", teacher.token, aTask(class))
		return err
	})
	return a.text("id")
}

func aTask(class string) map[string]any {
	return map[string]any{"class_id": class, "title": "Chapter 3", "description": "Read it.", "max_score": 10, "due_at": inDays(1)}
}

// publish publishes a task and waits until so many students have it.
func (s *stack) publish(t testing.TB, task string, teacher person, students int) {
	t.Helper()
	s.want(t, 202, "POST", "/api/v1/tasks/"+task+"/publish", teacher.token, nil)
	testkit.Eventually(t, "the students have the task", func() error {
		a, err := s.expect(200, "GET", "/api/v1/tasks/"+task, teacher.token, nil)
		if n := a.JSON["assigned_count"]; err == nil && n != float64(students) {
			err = fmt.Errorf("%v of %d", n, students)
		}
		return err
	})
}

// submit hands in.
func (s *stack) submit(t testing.TB, task string, student person) {
	t.Helper()
	s.want(t, 200, "PUT", "/api/v1/tasks/"+task+"/submission", student.token, aSubmission())
}

func aSubmission() map[string]any { return map[string]any{"content": "What I have read."} }
