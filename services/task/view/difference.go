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

// CompareSchool compares a school here with that in School, of which nil says that it is not there. What is known here
// from a later change than School's stays as it is.
func CompareSchool(here SchoolState, want *SchoolState) SchoolRepair {
	var r SchoolRepair
	if want == nil {
		if !here.School.Deleted {
			r.School = &School{ID: here.School.ID, Deleted: true, Sequence: here.School.Sequence}
			r.addDifference("school", here.School.ID, describeName(here.School.Name, false), nothing)
		}
		return r
	}
	at := want.School.Sequence
	if h := here.School; h.Deleted && h.Sequence > at {
		return r
	} else if h.Sequence <= at && (h.Deleted || h.Name != want.School.Name) {
		s := want.School
		r.School = &s
		r.addDifference("school", s.ID, describeName(h.Name, h.Deleted), describeName(s.Name, false))
	}
	for _, user := range mergeKeys(here.Members, want.Members) {
		h, w := here.Members[user], want.Members[user]
		if h.Sequence > at || describeRole(h.Role, h.Removed) == describeRole(w.Role, false) {
			continue
		}
		r.addDifference("member", want.School.ID+"/"+user, describeRole(h.Role, h.Removed), describeRole(w.Role, false))
		if w.Role == "" {
			w = Member{SchoolID: want.School.ID, UserID: user, Role: h.Role, Removed: true, Sequence: at}
		}
		r.Members = append(r.Members, w)
	}
	return r
}

// CompareClass is CompareSchool for a class.
func CompareClass(here ClassState, want *ClassState) ClassRepair {
	var r ClassRepair
	if want == nil {
		if !here.Class.Deleted {
			r.Class = &Class{ID: here.Class.ID, SchoolID: here.Class.SchoolID, Deleted: true, Sequence: here.Class.Sequence}
			r.addDifference("class", here.Class.ID, describeName(here.Class.Name, false), nothing)
		}
		return r
	}
	at := want.Class.Sequence
	if h := here.Class; h.Deleted && h.Sequence > at {
		return r
	} else if h.Sequence <= at && (h.Deleted || h.Name != want.Class.Name || h.SchoolID != want.Class.SchoolID) {
		c := want.Class
		r.Class = &c
		r.addDifference("class", c.ID, describeName(h.Name, h.Deleted), describeName(c.Name, false))
	}
	for _, user := range mergeKeys(here.Members, want.Members) {
		h, w := here.Members[user], want.Members[user]
		if h.Sequence > at || describeRole(h.Role, h.Removed) == describeRole(w.Role, false) {
			continue
		}
		r.addDifference("class_member", want.Class.ID+"/"+user, describeRole(h.Role, h.Removed), describeRole(w.Role, false))
		if w.Role == "" {
			w = ClassMember{ClassID: want.Class.ID, SchoolID: want.Class.SchoolID, UserID: user, Role: h.Role, Removed: true, Sequence: at}
		}
		r.Members = append(r.Members, w)
	}
	return r
}

func (r *SchoolRepair) addDifference(kind, id, here, want string) {
	r.Differences = append(r.Differences, Difference{Kind: kind, ID: id, Here: here, Want: want})
}

func (r *ClassRepair) addDifference(kind, id, here, want string) {
	r.Differences = append(r.Differences, Difference{Kind: kind, ID: id, Here: here, Want: want})
}

// describeRole says what somebody is, nothing for who is not there or not any more.
func describeRole(role string, removed bool) string {
	if role == "" || removed {
		return nothing
	}
	return role
}

func describeName(name string, deleted bool) string {
	switch {
	case deleted:
		return "deleted"
	case name == "":
		return nothing
	}
	return fmt.Sprintf("%q", name)
}

// mergeKeys returns the keys of either, in order.
func mergeKeys[M any](a, b map[string]M) []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.SortFunc(all, cmp.Compare[string])
	return slices.Compact(all)
}

// exportMargin is how much earlier than the export something may have got its id whose transaction the export did not
// see any more.
const exportMargin = time.Minute

// CreatedAfter reports whether the id, a UUIDv7, was made too late for an export of that time to have it.
func CreatedAfter(id string, taken time.Time) bool {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 {
		return false
	}
	sec, nsec := u.Time().UnixTime()
	return time.Unix(sec, nsec).After(taken.Add(-exportMargin))
}
