package view

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Difference describes an object that is different in the view and in School.
type Difference struct {
	Kind string // school, member, class, class_member or assignments
	ID   string // of a member: the id of the school or class, a slash, the id of the user
	Here string
	Want string
}

func (d Difference) String() string {
	return fmt.Sprintf("%s %s: here %s, in School %s", d.Kind, d.ID, d.Here, d.Want)
}

// SchoolRepair holds the values that repair a school of the view. School is nil and Members is empty where nothing differs.
type SchoolRepair struct {
	School      *School
	Members     []Member
	Differences []Difference
}

// ClassRepair holds the values that repair a class of the view. Class is nil and Members is empty where nothing differs.
type ClassRepair struct {
	Class       *Class
	Members     []ClassMember
	Differences []Difference
}

const nothing = "nothing"

// CompareSchool compares a school of the view with its state in School, nil if School does not have it. What the view knows from
// a later change than that state is kept.
func CompareSchool(here SchoolState, want *SchoolState) SchoolRepair {
	var r SchoolRepair
	if want == nil {
		if !here.School.Deleted {
			r.School = &School{ID: here.School.ID, Deleted: true, Sequence: here.School.Sequence}
			r.addDifference("school", here.School.ID, describeSchool(here.School), nothing)
		}
		return r
	}
	at := want.School.Sequence
	if h := here.School; h.Deleted && h.Sequence > at {
		return r
	} else if h.Sequence <= at && (h.Deleted || h.Name != want.School.Name || h.Archived != want.School.Archived || h.Timezone != want.School.Timezone) {
		s := want.School
		r.School = &s
		r.addDifference("school", s.ID, describeSchool(h), describeSchool(s))
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

// CompareClass does what CompareSchool does for a class.
func CompareClass(here ClassState, want *ClassState) ClassRepair {
	var r ClassRepair
	if want == nil {
		if !here.Class.Deleted {
			r.Class = &Class{ID: here.Class.ID, SchoolID: here.Class.SchoolID, Deleted: true, Sequence: here.Class.Sequence}
			r.addDifference("class", here.Class.ID, describeName(here.Class.Name, false, here.Class.Archived), nothing)
		}
		return r
	}
	at := want.Class.Sequence
	if h := here.Class; h.Deleted && h.Sequence > at {
		return r
	} else if h.Sequence <= at && (h.Deleted || h.Name != want.Class.Name || h.Archived != want.Class.Archived || h.SchoolID != want.Class.SchoolID) {
		c := want.Class
		r.Class = &c
		r.addDifference("class", c.ID, describeName(h.Name, h.Deleted, h.Archived), describeName(c.Name, false, c.Archived))
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

// describeRole returns the role of a member, or "nothing" for a person who is not or no longer a member.
func describeRole(role string, removed bool) string {
	if role == "" || removed {
		return nothing
	}
	return role
}

// describeSchool returns a school's name and time zone.
func describeSchool(s School) string {
	if s.Deleted || s.Timezone == "" {
		return describeName(s.Name, s.Deleted, s.Archived)
	}
	return describeName(s.Name, s.Deleted, s.Archived) + " in " + s.Timezone
}

// describeName returns a quoted name, or a word for an object that is deleted or has no known name.
func describeName(name string, deleted, archived bool) string {
	switch {
	case deleted:
		return "deleted"
	case name == "":
		return nothing
	case archived:
		return fmt.Sprintf("%q, archived", name)
	}
	return fmt.Sprintf("%q", name)
}

// mergeKeys returns the keys of both maps in order, each once.
func mergeKeys[M any](a, b map[string]M) []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.SortFunc(all, cmp.Compare[string])
	return slices.Compact(all)
}

// exportMargin is the time by which an id may be older than the export although the export did not see the transaction that
// created it.
const exportMargin = time.Minute

// CreatedAfter reports whether the id, a UUIDv7, was created too late to be in an export taken at that time.
func CreatedAfter(id string, taken time.Time) bool {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 {
		return false
	}
	sec, nsec := u.Time().UnixTime()
	return time.Unix(sec, nsec).After(taken.Add(-exportMargin))
}
