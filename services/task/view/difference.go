package view

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Difference is something that the view has otherwise than School.
type Difference struct {
	Kind string // school, member, class or class_member
	ID   string // of a member: what they are in, a slash, who they are
	Here string
	Want string
}

func (d Difference) String() string {
	return fmt.Sprintf("%s %s: here %s, in School %s", d.Kind, d.ID, d.Here, d.Want)
}

// SchoolRepair is what makes a school as School has it: nil and none where nothing differs.
type SchoolRepair struct {
	School      *School
	Members     []Member
	Differences []Difference
}

// ClassRepair is what makes a class as School has it: nil and none where nothing differs.
type ClassRepair struct {
	Class       *Class
	Members     []ClassMember
	Differences []Difference
}

const nothing = "nothing"

// RepairSchool compares a school here with that in School, of which nil says that it is not there. What is known here
// from a later change than School's stays as it is.
func RepairSchool(here SchoolState, want *SchoolState) SchoolRepair {
	var r SchoolRepair
	if want == nil {
		if !here.School.Deleted {
			r.School = &School{ID: here.School.ID, Deleted: true, Sequence: here.School.Sequence}
			r.note("school", here.School.ID, tell(here.School.Name, false), nothing)
		}
		return r
	}
	at := want.School.Sequence
	if h := here.School; h.Deleted && h.Sequence > at {
		return r
	} else if h.Sequence <= at && (h.Deleted || h.Name != want.School.Name) {
		s := want.School
		r.School = &s
		r.note("school", s.ID, tell(h.Name, h.Deleted), tell(s.Name, false))
	}
	for _, user := range both(here.Members, want.Members) {
		h, w := here.Members[user], want.Members[user]
		if h.Sequence > at || part(h.Role, h.Removed) == part(w.Role, false) {
			continue
		}
		r.note("member", want.School.ID+"/"+user, part(h.Role, h.Removed), part(w.Role, false))
		if w.Role == "" {
			w = Member{SchoolID: want.School.ID, UserID: user, Role: h.Role, Removed: true, Sequence: at}
		}
		r.Members = append(r.Members, w)
	}
	return r
}

// RepairClass is RepairSchool for a class.
func RepairClass(here ClassState, want *ClassState) ClassRepair {
	var r ClassRepair
	if want == nil {
		if !here.Class.Deleted {
			r.Class = &Class{ID: here.Class.ID, SchoolID: here.Class.SchoolID, Deleted: true, Sequence: here.Class.Sequence}
			r.note("class", here.Class.ID, tell(here.Class.Name, false), nothing)
		}
		return r
	}
	at := want.Class.Sequence
	if h := here.Class; h.Deleted && h.Sequence > at {
		return r
	} else if h.Sequence <= at && (h.Deleted || h.Name != want.Class.Name || h.SchoolID != want.Class.SchoolID) {
		c := want.Class
		r.Class = &c
		r.note("class", c.ID, tell(h.Name, h.Deleted), tell(c.Name, false))
	}
	for _, user := range both(here.Members, want.Members) {
		h, w := here.Members[user], want.Members[user]
		if h.Sequence > at || part(h.Role, h.Removed) == part(w.Role, false) {
			continue
		}
		r.note("class_member", want.Class.ID+"/"+user, part(h.Role, h.Removed), part(w.Role, false))
		if w.Role == "" {
			w = ClassMember{ClassID: want.Class.ID, SchoolID: want.Class.SchoolID, UserID: user, Role: h.Role, Removed: true, Sequence: at}
		}
		r.Members = append(r.Members, w)
	}
	return r
}

func (r *SchoolRepair) note(kind, id, here, want string) {
	r.Differences = append(r.Differences, Difference{Kind: kind, ID: id, Here: here, Want: want})
}

func (r *ClassRepair) note(kind, id, here, want string) {
	r.Differences = append(r.Differences, Difference{Kind: kind, ID: id, Here: here, Want: want})
}

// part says what somebody is, nothing for who is not there or not any more.
func part(role string, removed bool) string {
	if role == "" || removed {
		return nothing
	}
	return role
}

func tell(name string, deleted bool) string {
	switch {
	case deleted:
		return "deleted"
	case name == "":
		return nothing
	}
	return fmt.Sprintf("%q", name)
}

// both returns the keys of either, in order.
func both[M any](a, b map[string]M) []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.SortFunc(all, cmp.Compare[string])
	return slices.Compact(all)
}

// newerMargin is how much earlier than the export something may have got its id whose transaction the export did not
// see any more.
const newerMargin = time.Minute

// MadeAfter reports whether the id, a UUIDv7, was made too late for an export of that time to have it.
func MadeAfter(id string, taken time.Time) bool {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 {
		return false
	}
	sec, nsec := u.Time().UnixTime()
	return time.Unix(sec, nsec).After(taken.Add(-newerMargin))
}
