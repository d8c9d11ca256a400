package view

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/google/uuid"

	"pgo/pkg/event"
)

// Topics are the events that make up the view.
func Topics() []string {
	return []string{"user.created.v1", "user.updated.v1", "user.disabled.v1", "user.deleted.v1", "school.*.v1", "class.*.v1"}
}

const maxName = 255 // characters that are stored

// eventData is what this service reads of an event's data; other fields may be there.
type eventData struct {
	ID       string `json:"id"`
	SchoolID string `json:"school_id"`
	ClassID  string `json:"class_id"`
	UserID   string `json:"user_id"`
	Role     string `json:"role"`
	Name     string `json:"name"`
}

// Decode returns what an event says: a School, Member, Class, ClassMember or Person; nil when it says nothing to this
// service. The error is about data that no retry makes readable.
func Decode(e event.Event) (any, error) {
	of, known := decoders[e.Type]
	if !known {
		return nil, nil // a type that a publisher has added
	}
	var d eventData
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return nil, fmt.Errorf("read %s: %w", e.Type, err)
	}
	change, subject := of(d, e.Sequence)
	if err := check(change); err != nil {
		return nil, fmt.Errorf("read %s: %w", e.Type, err)
	}
	if subject != e.Subject {
		return nil, fmt.Errorf("read %s: its subject is not what its data is about", e.Type)
	}
	return change, nil
}

// decoders make of an event's data and sequence what it says, and the id of what it is about.
var decoders = map[string]func(d eventData, sequence int64) (any, string){
	"user.created.v1":  decodePerson,
	"user.updated.v1":  decodePerson,
	"user.disabled.v1": decodePerson,
	"user.deleted.v1":  func(d eventData, n int64) (any, string) { return Person{ID: d.ID, Deleted: true, Sequence: n}, d.ID },

	"school.created.v1": decodeSchool,
	"school.updated.v1": decodeSchool,
	"school.deleted.v1": func(d eventData, n int64) (any, string) { return School{ID: d.ID, Deleted: true, Sequence: n}, d.ID },

	"school.member_added.v1":   decodeMember(false),
	"school.member_changed.v1": decodeMember(false),
	"school.member_removed.v1": decodeMember(true),

	"class.created.v1": decodeClass(false),
	"class.updated.v1": decodeClass(false),
	"class.deleted.v1": decodeClass(true),

	"class.member_added.v1":   decodeClassMember(false),
	"class.member_removed.v1": decodeClassMember(true),
}

func decodePerson(d eventData, n int64) (any, string) {
	return Person{ID: d.ID, Name: d.Name, Sequence: n}, d.ID
}

func decodeSchool(d eventData, n int64) (any, string) {
	return School{ID: d.ID, Name: d.Name, Sequence: n}, d.ID
}

func decodeMember(removed bool) func(eventData, int64) (any, string) {
	return func(d eventData, n int64) (any, string) {
		return Member{SchoolID: d.SchoolID, UserID: d.UserID, Role: d.Role, Removed: removed, Sequence: n}, d.SchoolID
	}
}

func decodeClass(deleted bool) func(eventData, int64) (any, string) {
	return func(d eventData, n int64) (any, string) {
		return Class{ID: d.ID, SchoolID: d.SchoolID, Name: d.Name, Deleted: deleted, Sequence: n}, d.ID
	}
}

func decodeClassMember(removed bool) func(eventData, int64) (any, string) {
	return func(d eventData, n int64) (any, string) {
		return ClassMember{ClassID: d.ClassID, SchoolID: d.SchoolID, UserID: d.UserID, Role: d.Role, Removed: removed, Sequence: n}, d.ClassID
	}
}

// check refuses what could not be stored or would mean nothing.
func check(change any) error {
	switch c := change.(type) {
	case School:
		return errors.Join(checkID("id", c.ID), checkName(c.Name, c.Deleted))
	case Member:
		return errors.Join(checkID("school_id", c.SchoolID), checkID("user_id", c.UserID), checkRole(c.Role, "owner", "admin", "teacher", "student"))
	case Class:
		return errors.Join(checkID("id", c.ID), checkID("school_id", c.SchoolID), checkName(c.Name, c.Deleted))
	case ClassMember:
		return errors.Join(checkID("class_id", c.ClassID), checkID("school_id", c.SchoolID), checkID("user_id", c.UserID), checkRole(c.Role, "teacher", "student"))
	case Person:
		return errors.Join(checkID("id", c.ID), checkName(c.Name, c.Deleted))
	}
	return fmt.Errorf("%T is not part of the view", change)
}

func checkID(field, id string) error {
	if u, err := uuid.Parse(id); err != nil || u.String() != id {
		return fmt.Errorf("%s is not an id", field)
	}
	return nil
}

func checkName(name string, deleted bool) error {
	if !deleted && (name == "" || utf8.RuneCountInString(name) > maxName) {
		return fmt.Errorf("name does not have 1 to %d characters", maxName)
	}
	return nil
}

func checkRole(role string, roles ...string) error {
	if !slices.Contains(roles, role) {
		return fmt.Errorf("role is not one of %v", roles)
	}
	return nil
}
