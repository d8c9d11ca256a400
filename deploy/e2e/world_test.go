package e2e

import (
	"testing"

	"pgo/pkg/testing/testkit"
)

// world holds the people and entities that the calls of the table need. Schools and tasks are made when a call wants them, and again
// after a call that changed something, so that each call finds them as the table's page says.
type world struct {
	t      testing.TB // the running row's
	s      *stack
	people map[string]*person

	// Further members of every school: students of which one is in the class and one is not, and a teacher of nothing.
	classmate, newcomer, colleague person

	admin     person // who made the platform admin
	bystander string // the id of an account that may be changed
	here      *aSchool
	orphan    *aSchool
	class     string // of Task's rows
	theirs    string // a class of the same school that nobody of the table is in
	tasks     *someTasks
}

// aSchool is a school as the table's page describes it.
type aSchool struct {
	id, class, others, invite string
}

// someTasks are tasks of the class, one of each status, the published one handed in by the student.
type someTasks struct {
	draft, published, closed string
}

func newWorld(t *testing.T, s *stack) *world {
	w := &world{t: t, s: s, people: map[string]*person{"nobody": {}}, admin: s.admin(t)}
	for _, who := range everyone()[1:] {
		p := w.newPerson(who)
		w.people[who] = &p
	}
	w.classmate, w.newcomer, w.colleague = s.newPerson(t, "Classmate"), s.newPerson(t, "Newcomer"), s.newPerson(t, "Colleague")
	s.newSchool(t, *w.people["other school"])

	school := w.newSchool()
	w.class, w.theirs = school.class, school.others
	gone := w.people["deleted user"]
	s.want(t, 204, "DELETE", "/api/v1/users/me", gone.token, map[string]string{"password": password})
	off := w.people["disabled user"]
	s.want(t, 200, "PATCH", "/api/v1/users/"+off.id, w.admin.token, map[string]string{"status": "disabled"})
	for _, p := range []*person{gone, off} {
		for _, path := range []string{"/api/v1/users/me", "/api/v1/schools", "/api/v1/tasks"} {
			testkit.Eventually(t, "the sessions of "+p.name+" end", func() error {
				_, err := s.expect(401, "GET", path, p.token, nil)
				return err
			})
		}
	}
	return w
}

// newPerson makes somebody with the platform role that who has.
func (w *world) newPerson(who string) person {
	w.t.Helper()
	p := w.s.newPerson(w.t, who)
	if who == "platform admin" {
		w.s.want(w.t, 200, "PATCH", "/api/v1/users/"+p.id, w.admin.token, map[string]string{"role": "admin"})
		w.s.signIn(w.t, &p) // the change of role ended the session
	}
	return p
}

// spareAccount creates another account of the same kind as who, which a call may destroy.
func (w *world) spareAccount(who string) *person {
	w.t.Helper()
	if p := w.people[who]; !w.signedIn(who) {
		return p
	}
	p := w.newPerson(who)
	return &p
}

func (w *world) signedIn(who string) bool {
	return who != "nobody" && who != "deleted user" && who != "disabled user"
}

// changed forgets what a call to a service may have changed.
func (w *world) changed(service string) {
	switch service {
	case "user":
		w.bystander = ""
	case "school":
		w.here, w.orphan = nil, nil
	case "task":
		w.tasks = nil
	}
}

// school returns a school that nothing was done to.
func (w *world) school() *aSchool {
	w.t.Helper()
	if w.here == nil {
		w.here = w.newSchool()
	}
	return w.here
}

func (w *world) newSchool() *aSchool {
	w.t.Helper()
	owner, s := *w.people["owner"], w.s
	school := &aSchool{id: s.newSchool(w.t, owner)}
	s.join(w.t, school.id, owner, "admin", *w.people["school admin"])
	s.join(w.t, school.id, owner, "teacher", *w.people["teacher"], w.colleague)
	s.join(w.t, school.id, owner, "student", *w.people["student"], w.classmate, w.newcomer)
	school.invite = s.newInvite(w.t, school.id, owner, "student", 1)
	school.class, school.others = s.newClass(w.t, school.id, owner), s.newClass(w.t, school.id, owner)
	s.enrol(w.t, school.class, owner, "teacher", *w.people["teacher"])
	s.enrol(w.t, school.class, owner, "student", *w.people["student"], w.classmate)
	s.enrol(w.t, school.others, owner, "teacher", w.colleague)
	return school
}

// ownerless returns a school with a teacher and a student whose only owner's account is gone.
func (w *world) ownerless() *aSchool {
	w.t.Helper()
	if w.orphan != nil {
		return w.orphan
	}
	owner := w.s.newPerson(w.t, "Founder")
	w.orphan = &aSchool{id: w.s.newSchool(w.t, owner)}
	w.s.join(w.t, w.orphan.id, owner, "teacher", *w.people["teacher"], w.colleague)
	w.s.join(w.t, w.orphan.id, owner, "student", *w.people["student"])
	w.s.want(w.t, 204, "DELETE", "/api/v1/users/me", owner.token, map[string]string{"password": password})
	testkit.Eventually(w.t, "the school is ownerless", func() error {
		_, err := w.s.expect(200, "GET", "/api/v1/schools/"+w.orphan.id, w.people["platform admin"].token, nil)
		return err
	})
	return w.orphan
}

// some returns tasks that nothing was done to.
func (w *world) some() *someTasks {
	w.t.Helper()
	if w.tasks != nil {
		return w.tasks
	}
	s, teacher, student := w.s, *w.people["teacher"], *w.people["student"]
	w.tasks = &someTasks{s.newTask(w.t, w.class, teacher), s.newTask(w.t, w.class, teacher), s.newTask(w.t, w.class, teacher)}
	for _, task := range []string{w.tasks.published, w.tasks.closed} {
		s.publish(w.t, task, teacher, 2)
		s.submit(w.t, task, student)
	}
	s.want(w.t, 200, "POST", "/api/v1/tasks/"+w.tasks.closed+"/close", teacher.token, nil)
	return w.tasks
}

// account returns the id of an account that may be changed.
func (w *world) account() string {
	w.t.Helper()
	if w.bystander == "" {
		w.bystander = w.s.want(w.t, 201, "POST", "/api/v1/auth/register", "",
			map[string]string{"email": newEmail(), "password": password, "name": "Bystander"}).text("id")
	}
	return w.bystander
}
