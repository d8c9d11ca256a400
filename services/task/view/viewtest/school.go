// Package viewtest is a School for tests: it does something at random, tells of it in events as the School service does,
// can write an export, and knows what a view must have in the end.
package viewtest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgo/pkg/event"
)

// School is everything that the School service and User have. It is not safe for concurrent use.
type School struct {
	t      testing.TB
	rand   *rand.Rand
	at     time.Time // ids are made by a clock of its own
	events []event.Event

	schools map[string]*school
	classes map[string]*class
	people  map[string]*person
}

type school struct {
	name     string
	sequence int64
	members  map[string]string // user → role
}

type class struct {
	school   string
	name     string
	sequence int64
	members  map[string]string
}

type person struct {
	name     string
	sequence int64
	deleted  bool
}

// New returns a School whose doings are those of the seed.
func New(t testing.TB, seed uint64) *School {
	return &School{
		t: t, rand: rand.New(rand.NewPCG(seed, seed)), at: time.Now().Add(-24 * time.Hour),
		schools: map[string]*school{}, classes: map[string]*class{}, people: map[string]*person{},
	}
}

// Events returns what was told since the last call, in the order in which it happened.
func (s *School) Events() []event.Event {
	all := s.events
	s.events = nil
	return all
}

// Classes returns the ids of the classes that are there, in order.
func (s *School) Classes() []string { return slices.Sorted(maps.Keys(s.classes)) }

// Students returns the students of a class, in order.
func (s *School) Students(class string) []string {
	var all []string
	for user, role := range s.classes[class].members {
		if role == "student" {
			all = append(all, user)
		}
	}
	slices.Sort(all)
	return all
}

// Step does one thing at random.
func (s *School) Step() {
	classes, schools, people := s.Classes(), slices.Sorted(maps.Keys(s.schools)), slices.Sorted(maps.Keys(s.people))
	const some = 4
	switch n := s.rand.IntN(100); {
	case len(people) < some || n < 4:
		s.newPerson()
	case n < 7:
		s.renamePerson(s.any(people))
	case n < 8:
		s.deletePerson(s.any(people))
	case len(schools) == 0 || n < 10 && len(schools) < some:
		s.newSchool(s.any(people))
	case n < 13:
		id := s.any(schools)
		s.schools[id].name = s.name()
		s.tellSchool("school.updated.v1", id)
	case n < 14 && len(schools) > 1:
		s.deleteSchool(s.any(schools))
	case n < 30:
		s.putMember(s.any(schools), s.any(people))
	case n < 36:
		s.removeMember(s.any(schools), s.any(people))
	case len(classes) == 0 || n < 42 && len(classes) < 2*some:
		s.newClass(s.any(schools))
	case n < 45:
		id := s.any(classes)
		s.classes[id].name = s.name()
		s.tellClass("class.updated.v1", id)
	case n < 47:
		s.deleteClass(s.any(classes))
	case n < 85:
		s.putClassMember(s.any(classes), s.any(people))
	default:
		s.removeClassMember(s.any(classes), s.any(people))
	}
}

func (s *School) any(of []string) string { return of[s.rand.IntN(len(of))] }

func (s *School) name() string { return fmt.Sprintf("N%d", s.rand.IntN(1000)) }

// id returns a UUIDv7 of the School's clock, which goes on by a second.
func (s *School) id() string {
	s.at = s.at.Add(time.Second)
	id := uuid.UUID{6: 0x70, 8: 0x80}
	ms := s.at.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	for i := 9; i < len(id); i++ {
		id[i] = byte(s.rand.Uint32())
	}
	return id.String()
}

func (s *School) tell(source, typ, subject string, sequence *int64, data map[string]any) {
	s.t.Helper()
	*sequence++
	e, err := event.New(context.Background(), source, typ, subject, *sequence, data)
	if err != nil {
		s.t.Fatal(err)
	}
	s.events = append(s.events, e)
}

func (s *School) tellSchool(typ, id string) {
	c := s.schools[id]
	s.tell("school", typ, id, &c.sequence, map[string]any{"id": id, "name": c.name, "timezone": "Europe/Berlin"})
}

func (s *School) tellMember(typ, id, user, role string) {
	s.tell("school", typ, id, &s.schools[id].sequence, map[string]any{"school_id": id, "user_id": user, "role": role})
}

func (s *School) tellClass(typ, id string) {
	c := s.classes[id]
	s.tell("school", typ, id, &c.sequence, map[string]any{"id": id, "school_id": c.school, "name": c.name, "grade": "5"})
}

func (s *School) tellClassMember(typ, id, user, role string) {
	c := s.classes[id]
	s.tell("school", typ, id, &c.sequence, map[string]any{"class_id": id, "school_id": c.school, "user_id": user, "role": role})
}

func (s *School) newPerson() {
	id := s.id()
	s.people[id] = &person{name: s.name()}
	s.tell("user", "user.created.v1", id, &s.people[id].sequence, map[string]any{"id": id, "name": s.people[id].name})
}

func (s *School) renamePerson(id string) {
	if p := s.people[id]; !p.deleted {
		p.name = s.name()
		s.tell("user", "user.updated.v1", id, &p.sequence, map[string]any{"id": id, "name": p.name})
	}
}

func (s *School) deletePerson(id string) {
	p := s.people[id]
	if p.deleted {
		return
	}
	p.deleted = true
	s.tell("user", "user.deleted.v1", id, &p.sequence, map[string]any{"id": id})
	for _, in := range slices.Sorted(maps.Keys(s.schools)) {
		s.removeMember(in, id)
	}
}

func (s *School) newSchool(owner string) {
	id := s.id()
	s.schools[id] = &school{name: s.name(), members: map[string]string{}}
	s.tellSchool("school.created.v1", id)
	s.schools[id].members[owner] = "owner"
	s.tellMember("school.member_added.v1", id, owner, "owner")
}

// deleteSchool tells of the school alone; its classes go with it.
func (s *School) deleteSchool(id string) {
	s.tell("school", "school.deleted.v1", id, &s.schools[id].sequence, map[string]any{"id": id})
	delete(s.schools, id)
	maps.DeleteFunc(s.classes, func(_ string, c *class) bool { return c.school == id })
}

func (s *School) putMember(id, user string) {
	c := s.schools[id]
	role := s.any([]string{"admin", "teacher", "student", "student"})
	was, there := c.members[user]
	if s.people[user].deleted || was == role {
		return
	}
	typ := "school.member_added.v1"
	if there {
		typ = "school.member_changed.v1"
	}
	c.members[user] = role
	s.tellMember(typ, id, user, role)
	if role == "student" { // who does not teach in the school does not teach its classes
		for _, in := range s.classesOf(id) {
			if s.classes[in].members[user] == "teacher" {
				s.removeClassMember(in, user)
			}
		}
	}
}

func (s *School) removeMember(id, user string) {
	c := s.schools[id]
	role, there := c.members[user]
	if !there {
		return
	}
	delete(c.members, user)
	s.tellMember("school.member_removed.v1", id, user, role)
	for _, in := range s.classesOf(id) {
		s.removeClassMember(in, user)
	}
}

func (s *School) classesOf(school string) []string {
	return slices.DeleteFunc(s.Classes(), func(id string) bool { return s.classes[id].school != school })
}

func (s *School) newClass(in string) {
	id := s.id()
	s.classes[id] = &class{school: in, name: s.name(), members: map[string]string{}}
	s.tellClass("class.created.v1", id)
}

func (s *School) deleteClass(id string) {
	s.tell("school", "class.deleted.v1", id, &s.classes[id].sequence, map[string]any{"id": id, "school_id": s.classes[id].school})
	delete(s.classes, id)
}

func (s *School) putClassMember(id, user string) {
	c := s.classes[id]
	in := s.schools[c.school].members[user]
	role := s.any([]string{"teacher", "student", "student", "student"})
	if in == "" || in == "student" && role == "teacher" || c.members[user] == role {
		return
	}
	c.members[user] = role
	s.tellClassMember("class.member_added.v1", id, user, role)
}

func (s *School) removeClassMember(id, user string) {
	role, there := s.classes[id].members[user]
	if !there {
		return
	}
	delete(s.classes[id].members, user)
	s.tellClassMember("class.member_removed.v1", id, user, role)
}
