package e2e

import (
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgo/pkg/testing/testkit"
)

// lesson is a school's way from its first account to a table of grades, step by step. Some of its students are
// given: accounts cost time.
type lesson struct {
	s        *stack
	t        testing.TB
	owner    person
	teacher  person
	students []person

	school, class, task string
	codes               map[string]string // of invites, by role

	// disturbed says that parts die meanwhile: a call may then have to be repeated, and find its own effect.
	disturbed bool
	// after is called when a step is done.
	after func(step string)
}

// run takes all steps.
func (l *lesson) run(t testing.TB) {
	t.Helper()
	l.t = t
	l.codes = map[string]string{}
	for _, step := range []struct {
		name string
		do   func() error
		// eventual is for a step that needs what an event brings.
		eventual bool
	}{
		{"register", l.register, false},
		{"login", l.login, false},
		{"school", l.makeSchool, false},
		{"class", l.makeClass, false},
		{"invite", l.invite, false},
		{"accept", l.accept, false},
		{"enrol", l.enrol, false},
		{"task", l.setTask, true},
		{"publish", l.publish, false},
		{"submit", l.submit, true},
		{"grade", l.grade, false},
		{"stats", l.stats, true},
		{"grades.csv", l.grades, true},
		{"names", l.names, true},
	} {
		err := step.do()
		for deadline := time.Now().Add(time.Minute); err != nil && l.again(err, step.eventual); err = step.do() {
			if time.Now().After(deadline) {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if l.after != nil {
			l.after(step.name)
		}
	}
}

// errNotYet is that an event has not come.
var errNotYet = errors.New("not yet")

// again says whether a step that failed so may be taken once more.
func (l *lesson) again(err error, eventual bool) bool {
	var other *otherStatus
	switch {
	case errors.As(err, &other):
		switch other.answer.Status {
		case 404:
			return eventual
		case 502, 503, 504:
			return l.disturbed
		}
		return false
	case errors.Is(err, errNotYet):
		return eventual
	}
	return l.disturbed // no answer at all
}

// do makes a call. Codes are problems that say that it was done before; they pass where parts die.
func (l *lesson) do(status int, method, path string, by person, body any, codes ...string) (answer, error) {
	a, err := l.s.expect(status, method, path, by.token, body)
	if err != nil && l.disturbed && slices.Contains(codes, a.text("code")) {
		return a, nil
	}
	return a, err
}

func (l *lesson) register() error {
	for _, p := range []*person{&l.owner, &l.teacher, &l.students[0]} {
		p.name = "Ada 🦉"
		p.email = newEmail()
		a, err := l.do(201, "POST", "/api/v1/auth/register", person{}, map[string]string{"email": p.email, "password": password, "name": p.name})
		if err != nil {
			return err
		}
		p.id = a.text("id")
	}
	return nil
}

func (l *lesson) login() error {
	for _, p := range []*person{&l.owner, &l.teacher, &l.students[0]} {
		a, err := l.do(200, "POST", "/api/v1/auth/login", person{}, map[string]string{"email": p.email, "password": password})
		if err != nil {
			return err
		}
		p.token = a.text("access_token")
	}
	return nil
}

func (l *lesson) makeSchool() error {
	a, err := l.do(201, "POST", "/api/v1/schools", l.owner, map[string]string{"name": "Lesson", "timezone": "Europe/Berlin"})
	l.school = a.text("id")
	return err
}

func (l *lesson) makeClass() error {
	a, err := l.do(201, "POST", "/api/v1/schools/"+l.school+"/classes", l.owner, map[string]string{"name": "7A", "grade": "7"})
	l.class = a.text("id")
	return err
}

func (l *lesson) invite() error {
	for role, uses := range map[string]int{"teacher": 1, "student": len(l.students)} {
		a, err := l.do(201, "POST", "/api/v1/schools/"+l.school+"/invites", l.owner, map[string]any{"role": role, "max_uses": uses, "expires_at": inDays(1)})
		if err != nil {
			return err
		}
		l.codes[role] = a.text("code")
	}
	return nil
}

func (l *lesson) accept() error {
	_, err := l.do(201, "POST", "/api/v1/invites/"+l.codes["teacher"]+"/accept", l.teacher, nil, "already_member")
	for i := 0; i < len(l.students) && err == nil; i++ {
		_, err = l.do(201, "POST", "/api/v1/invites/"+l.codes["student"]+"/accept", l.students[i], nil, "already_member")
	}
	return err
}

func (l *lesson) enrol() error {
	put := func(by, who person, role string) error {
		_, err := l.do(201, "PUT", "/api/v1/classes/"+l.class+"/members/"+who.id, by, map[string]string{"role": role})
		var other *otherStatus
		if l.disturbed && errors.As(err, &other) && other.answer.Status == 200 {
			return nil // it was put there before
		}
		return err
	}
	err := put(l.owner, l.teacher, "teacher")
	for i := 0; i < len(l.students) && err == nil; i++ {
		err = put(l.teacher, l.students[i], "student")
	}
	return err
}

func (l *lesson) setTask() error {
	a, err := l.do(201, "POST", "/api/v1/tasks", l.teacher, aTask(l.class))
	l.task = a.text("id")
	return err
}

func (l *lesson) publish() error {
	_, err := l.do(202, "POST", "/api/v1/tasks/"+l.task+"/publish", l.teacher, nil, "already_published")
	return err
}

// submit hands in for all but the last student, if there is more than one.
func (l *lesson) submit() error {
	for _, p := range l.students[:l.working()] {
		if _, err := l.do(200, "PUT", "/api/v1/tasks/"+l.task+"/submission", p, aSubmission()); err != nil {
			return err
		}
	}
	return nil
}

func (l *lesson) working() int { return max(1, len(l.students)-1) }

func (l *lesson) grade() error {
	_, err := l.do(200, "PUT", "/api/v1/tasks/"+l.task+"/submissions/"+l.students[0].id+"/grade", l.teacher, map[string]any{"score": 7, "feedback": "=good"})
	return err
}

func (l *lesson) stats() error {
	a, err := l.do(200, "GET", "/api/v1/tasks/"+l.task+"/stats", l.teacher, nil)
	if err != nil {
		return err
	}
	want := map[string]float64{"assigned": float64(len(l.students)), "submitted": float64(l.working()), "late": 0, "graded": 1, "mean": 7, "median": 7, "min": 7, "max": 7}
	for key, n := range want {
		if a.JSON[key] != n {
			return fmt.Errorf("%w: %s is not %v in %s", errNotYet, key, n, a.Body)
		}
	}
	return nil
}

func (l *lesson) grades() error {
	a, err := l.do(200, "GET", "/api/v1/tasks/"+l.task+"/grades.csv", l.teacher, nil)
	if err != nil {
		return err
	}
	lines, err := csv.NewReader(strings.NewReader(a.Body)).ReadAll()
	if err != nil {
		return fmt.Errorf("%w in %s", err, a.Body)
	}
	if len(lines) != len(l.students)+1 {
		return fmt.Errorf("%w: %d lines: %s", errNotYet, len(lines), a.Body)
	}
	for _, line := range lines[1:] {
		if line[0] == l.students[0].id {
			if text := strings.Join(line, ","); !strings.Contains(text, ",7,10,") || !strings.Contains(text, ",'=good") || !strings.Contains(text, l.students[0].name) {
				return fmt.Errorf("%w: %s", errNotYet, text)
			}
			return nil
		}
	}
	return fmt.Errorf("%w: the student is not in %s", errNotYet, a.Body)
}

// names checks that both lists of people know who everybody is.
func (l *lesson) names() error {
	for path, by := range map[string]person{
		"/api/v1/schools/" + l.school + "/members?limit=100": l.owner,
		"/api/v1/classes/" + l.class + "/members?limit=100":  l.teacher,
		"/api/v1/tasks/" + l.task + "/assignments?limit=100": l.teacher,
	} {
		a, err := l.do(200, "GET", path, by, nil)
		if err != nil {
			return err
		}
		items, _ := a.JSON["items"].([]any)
		if len(items) < len(l.students) {
			return fmt.Errorf("%w: %s has %s", errNotYet, path, a.Body)
		}
		for _, item := range items {
			if m, _ := item.(map[string]any); m["name"] == nil {
				return fmt.Errorf("%w: nameless in %s: %s", errNotYet, path, a.Body)
			}
		}
	}
	return nil
}

// newLesson makes one with n students, of whom all but the first have an account.
func (s *stack) newLesson(others []person) *lesson {
	return &lesson{s: s, students: append([]person{{}}, others...)}
}

// somePupils signs people up and in.
func (s *stack) somePupils(t testing.TB, n int) []person {
	t.Helper()
	out := make([]person, n)
	for i := range out {
		out[i] = s.newPerson(t, fmt.Sprintf("Pupil %d", i))
	}
	return out
}

func schoolJourney(t *testing.T, s *stack) { s.newLesson(s.somePupils(t, 2)).run(t) }

// schoolWithoutRedis makes the same calls while Redis is unavailable.
func schoolWithoutRedis(t *testing.T, s *stack) {
	s.must("pgo", "stop", "redis")
	s.newLesson(s.somePupils(t, 2)).run(t)
	for _, service := range services() {
		ready := s.want(t, 200, "GET", "/services/"+service+"/readyz", "", nil)
		if !strings.Contains(ready.Body, "redis") {
			t.Errorf("%s hides that Redis is unavailable: %s", service, ready.Body)
		}
	}
	s.must("pgo", "start", "redis")
	for _, service := range services() {
		testkit.Eventually(t, service+" finds Redis again", func() error {
			ready, err := s.expect(200, "GET", "/services/"+service+"/readyz", "", nil)
			if err == nil && strings.Contains(ready.Body, "redis") {
				err = errors.New(ready.Body)
			}
			return err
		})
	}
}
