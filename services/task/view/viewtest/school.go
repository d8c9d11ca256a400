// Package viewtest provides a fake School for tests. It makes random changes, publishes events about them as the School
// service does, writes exports, and compares a view with its own state.
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

// FakeSchool holds the state of the School and User services. It is not safe for concurrent use.
type FakeSchool struct {
	t      testing.TB
	rand   *rand.Rand
	now    time.Time // time of its own clock, from which ids are generated
	events []event.Event

	schools map[string]*school
	classes map[string]*class
	people  map[string]*person
}

type school struct {
	name     string
	archived bool
	sequence int64
	members  map[string]string // user → role
}

type class struct {
	school   string
	name     string
	archived bool
	sequence int64
	members  map[string]string
}

type person struct {
	name     string
	sequence int64
	deleted  bool
}

// New returns a School whose random changes depend on the seed alone.
func New(t testing.TB, seed uint64) *FakeSchool {
	return &FakeSchool{
		t: t, rand: rand.New(rand.NewPCG(seed, seed)), now: time.Now().Add(-24 * time.Hour),
		schools: map[string]*school{}, classes: map[string]*class{}, people: map[string]*person{},
	}
}

// TakeEvents returns the events since the last call, in the order of the changes.
func (s *FakeSchool) TakeEvents() []event.Event {
	all := s.events
	s.events = nil
	return all
}

// ClassIDs returns the ids of all classes, in order.
func (s *FakeSchool) ClassIDs() []string { return slices.Sorted(maps.Keys(s.classes)) }

// StudentIDs returns the ids of a class's students, in order.
func (s *FakeSchool) StudentIDs(class string) []string {
	var all []string
	for user, role := range s.classes[class].members {
		if role == "student" {
			all = append(all, user)
		}
	}
	slices.Sort(all)
	return all
}

// MakeRandomChange makes one random change.
func (s *FakeSchool) MakeRandomChange() {
	classes, schools, people := s.ClassIDs(), slices.Sorted(maps.Keys(s.schools)), slices.Sorted(maps.Keys(s.people))
	const some = 4
	switch n := s.rand.IntN(100); {
	case len(people) < some || n < 4:
		s.newPerson()
	case n < 7:
		s.renamePerson(s.pickOne(people))
	case n < 8:
		s.deletePerson(s.pickOne(people))
	case len(schools) == 0 || n < 10 && len(schools) < some:
		s.newSchool(s.pickOne(people))
	case n < 13:
		id := s.pickOne(schools)
		s.schools[id].name, s.schools[id].archived = s.newName(), s.rand.IntN(2) == 0
		s.emitSchool("school.updated.v1", id)
	case n < 14 && len(schools) > 1:
		s.deleteSchool(s.pickOne(schools))
	case n < 30:
		s.putMember(s.pickOne(schools), s.pickOne(people))
	case n < 36:
		s.removeMember(s.pickOne(schools), s.pickOne(people))
	case len(classes) == 0 || n < 42 && len(classes) < 2*some:
		s.newClass(s.pickOne(schools))
	case n < 45:
		id := s.pickOne(classes)
		s.classes[id].name, s.classes[id].archived = s.newName(), s.rand.IntN(2) == 0
		s.emitClass("class.updated.v1", id)
	case n < 47:
		s.deleteClass(s.pickOne(classes))
	case n < 85:
		s.putClassMember(s.pickOne(classes), s.pickOne(people))
	default:
		s.removeClassMember(s.pickOne(classes), s.pickOne(people))
	}
}

func (s *FakeSchool) pickOne(of []string) string { return of[s.rand.IntN(len(of))] }

func (s *FakeSchool) newName() string { return fmt.Sprintf("N%d", s.rand.IntN(1000)) }

// newID advances the clock by a second and returns a UUIDv7 of that time.
func (s *FakeSchool) newID() string {
	s.now = s.now.Add(time.Second)
	id := uuid.UUID{6: 0x70, 8: 0x80}
	ms := s.now.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	for i := 9; i < len(id); i++ {
		id[i] = byte(s.rand.Uint32())
	}
	return id.String()
}

func (s *FakeSchool) emit(source, typ, subject string, sequence *int64, data map[string]any) {
	s.t.Helper()
	*sequence++
	e, err := event.New(context.Background(), source, typ, subject, *sequence, data)
	if err != nil {
		s.t.Fatal(err)
	}
	s.events = append(s.events, e)
}

// archivedAt returns a time for what is archived, nil otherwise.
func (s *FakeSchool) archivedAt(archived bool) any {
	if archived {
		return s.now
	}
	return nil
}

func (s *FakeSchool) emitSchool(typ, id string) {
	c := s.schools[id]
	s.emit("school", typ, id, &c.sequence, map[string]any{"id": id, "name": c.name, "timezone": "Europe/Berlin", "archived_at": s.archivedAt(c.archived)})
}

func (s *FakeSchool) emitMember(typ, id, user, role string) {
	s.emit("school", typ, id, &s.schools[id].sequence, map[string]any{"school_id": id, "user_id": user, "role": role})
}

func (s *FakeSchool) emitClass(typ, id string) {
	c := s.classes[id]
	s.emit("school", typ, id, &c.sequence, map[string]any{"id": id, "school_id": c.school, "name": c.name, "grade": "5", "archived_at": s.archivedAt(c.archived)})
}

func (s *FakeSchool) emitClassMember(typ, id, user, role string) {
	c := s.classes[id]
	s.emit("school", typ, id, &c.sequence, map[string]any{"class_id": id, "school_id": c.school, "user_id": user, "role": role})
}

func (s *FakeSchool) newPerson() {
	id := s.newID()
	s.people[id] = &person{name: s.newName()}
	s.emit("user", "user.created.v1", id, &s.people[id].sequence, map[string]any{"id": id, "name": s.people[id].name})
}

func (s *FakeSchool) renamePerson(id string) {
	if p := s.people[id]; !p.deleted {
		p.name = s.newName()
		s.emit("user", "user.updated.v1", id, &p.sequence, map[string]any{"id": id, "name": p.name})
	}
}

func (s *FakeSchool) deletePerson(id string) {
	p := s.people[id]
	if p.deleted {
		return
	}
	p.deleted = true
	s.emit("user", "user.deleted.v1", id, &p.sequence, map[string]any{"id": id})
	for _, in := range slices.Sorted(maps.Keys(s.schools)) {
		s.removeMember(in, id)
	}
}

func (s *FakeSchool) newSchool(owner string) {
	id := s.newID()
	s.schools[id] = &school{name: s.newName(), members: map[string]string{}}
	s.emitSchool("school.created.v1", id)
	s.schools[id].members[owner] = "owner"
	s.emitMember("school.member_added.v1", id, owner, "owner")
}

// deleteSchool deletes a school with its classes. It emits an event about the school alone.
func (s *FakeSchool) deleteSchool(id string) {
	s.emit("school", "school.deleted.v1", id, &s.schools[id].sequence, map[string]any{"id": id})
	delete(s.schools, id)
	maps.DeleteFunc(s.classes, func(_ string, c *class) bool { return c.school == id })
}

func (s *FakeSchool) putMember(id, user string) {
	c := s.schools[id]
	role := s.pickOne([]string{"admin", "teacher", "student", "student"})
	was, there := c.members[user]
	if s.people[user].deleted || was == role {
		return
	}
	typ := "school.member_added.v1"
	if there {
		typ = "school.member_changed.v1"
	}
	c.members[user] = role
	s.emitMember(typ, id, user, role)
	if role == "student" { // a student of the school does not teach its classes
		for _, in := range s.classesIn(id) {
			if s.classes[in].members[user] == "teacher" {
				s.removeClassMember(in, user)
			}
		}
	}
}

func (s *FakeSchool) removeMember(id, user string) {
	c := s.schools[id]
	role, there := c.members[user]
	if !there {
		return
	}
	delete(c.members, user)
	s.emitMember("school.member_removed.v1", id, user, role)
	for _, in := range s.classesIn(id) {
		s.removeClassMember(in, user)
	}
}

func (s *FakeSchool) classesIn(school string) []string {
	return slices.DeleteFunc(s.ClassIDs(), func(id string) bool { return s.classes[id].school != school })
}

func (s *FakeSchool) newClass(in string) {
	id := s.newID()
	s.classes[id] = &class{school: in, name: s.newName(), members: map[string]string{}}
	s.emitClass("class.created.v1", id)
}

func (s *FakeSchool) deleteClass(id string) {
	s.emit("school", "class.deleted.v1", id, &s.classes[id].sequence, map[string]any{"id": id, "school_id": s.classes[id].school})
	delete(s.classes, id)
}

func (s *FakeSchool) putClassMember(id, user string) {
	c := s.classes[id]
	in := s.schools[c.school].members[user]
	role := s.pickOne([]string{"teacher", "student", "student", "student"})
	if in == "" || in == "student" && role == "teacher" || c.members[user] == role {
		return
	}
	c.members[user] = role
	s.emitClassMember("class.member_added.v1", id, user, role)
}

func (s *FakeSchool) removeClassMember(id, user string) {
	role, there := s.classes[id].members[user]
	if !there {
		return
	}
	delete(s.classes[id].members, user)
	s.emitClassMember("class.member_removed.v1", id, user, role)
}
