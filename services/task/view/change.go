// Package view holds Task's knowledge of schools, classes, their members and people, which comes from School's and User's
// events or from an export of School's state.
//
// Events are delivered at least once and in any order. Each carries the sequence number of its aggregate: a change that is
// not newer than the stored state is ignored, and deleted objects are kept as tombstones, so that a late event does not
// bring them back. An event about a member may come before the event about their class.
package view

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Change is a change of the view that an event describes: a School, Member, Class, ClassMember or Person.
type Change interface {
	// Validate returns an error if the change could not be stored or would mean nothing.
	Validate() error
	// AggregateID returns the id of the aggregate whose sequence the change carries: the subject of its event.
	AggregateID() string
	// EnsureRows makes sure that the school and the class of the change have rows that a transaction can lock.
	EnsureRows(ctx context.Context, rows Rows) error
	// Apply applies the change in a transaction, unless the view knows something newer.
	Apply(tx Tx) error
}

// Rows creates the rows that the transaction of a change locks. The rows are never deleted.
type Rows interface {
	EnsureSchoolRow(ctx context.Context, id string) error
	EnsureClassRow(ctx context.Context, id, schoolID string) error
}

// Tx is a transaction on the view. Its methods ignore a change that is not newer than what is stored, and a change of
// something that belongs to a deleted school or class.
type Tx interface {
	ApplySchool(s School) error
	ApplyMember(m Member) error
	ApplyClass(c Class) error
	ApplyClassMember(m ClassMember) error
	ApplyPerson(p Person) error
}

// School is a school in an event or an export.
type School struct {
	ID       string
	Name     string
	Timezone string // of the IANA database, "" while it is not known
	Archived bool   // hidden with all that belongs to it
	Deleted  bool
	Sequence int64 // of the school, as are those of its members
}

// Validate implements Change.
func (s School) Validate() error {
	return errors.Join(checkID("id", s.ID), checkName(s.Name, s.Deleted), checkTimezone(s.Timezone))
}

// AggregateID implements Change.
func (s School) AggregateID() string { return s.ID }

// EnsureRows implements Change.
func (s School) EnsureRows(ctx context.Context, rows Rows) error {
	return rows.EnsureSchoolRow(ctx, s.ID)
}

// Apply implements Change.
func (s School) Apply(tx Tx) error { return tx.ApplySchool(s) }

// Member is a person's membership in a school.
type Member struct {
	SchoolID string
	UserID   string
	Role     string // owner, admin, teacher or student
	Removed  bool
	Sequence int64 // of the school
}

// Validate implements Change.
func (m Member) Validate() error {
	return errors.Join(checkID("school_id", m.SchoolID), checkID("user_id", m.UserID), checkRole(m.Role, "owner", "admin", "teacher", "student"))
}

// AggregateID implements Change.
func (m Member) AggregateID() string { return m.SchoolID }

// EnsureRows implements Change.
func (m Member) EnsureRows(ctx context.Context, rows Rows) error {
	return rows.EnsureSchoolRow(ctx, m.SchoolID)
}

// Apply implements Change.
func (m Member) Apply(tx Tx) error { return tx.ApplyMember(m) }

// Class is a class in an event or an export.
type Class struct {
	ID       string
	SchoolID string
	Name     string
	Archived bool // hidden with its tasks
	Deleted  bool
	Sequence int64 // of the class, as are those of its members
}

// Validate implements Change.
func (c Class) Validate() error {
	return errors.Join(checkID("id", c.ID), checkID("school_id", c.SchoolID), checkName(c.Name, c.Deleted))
}

// AggregateID implements Change.
func (c Class) AggregateID() string { return c.ID }

// EnsureRows implements Change.
func (c Class) EnsureRows(ctx context.Context, rows Rows) error {
	return rows.EnsureClassRow(ctx, c.ID, c.SchoolID)
}

// Apply implements Change.
func (c Class) Apply(tx Tx) error { return tx.ApplyClass(c) }

// ClassMember is a person's membership in a class.
type ClassMember struct {
	ClassID  string
	SchoolID string
	UserID   string
	Role     string // teacher or student
	Removed  bool
	Sequence int64 // of the class
}

// Validate implements Change.
func (m ClassMember) Validate() error {
	return errors.Join(checkID("class_id", m.ClassID), checkID("school_id", m.SchoolID), checkID("user_id", m.UserID), checkRole(m.Role, "teacher", "student"))
}

// AggregateID implements Change.
func (m ClassMember) AggregateID() string { return m.ClassID }

// EnsureRows implements Change.
func (m ClassMember) EnsureRows(ctx context.Context, rows Rows) error {
	return rows.EnsureClassRow(ctx, m.ClassID, m.SchoolID)
}

// Apply implements Change.
func (m ClassMember) Apply(tx Tx) error { return tx.ApplyClassMember(m) }

// Person is the name and address of a person, or the deletion of their account.
type Person struct {
	ID       string
	Name     string
	Email    string // "" while it is not known
	Deleted  bool
	Sequence int64
}

// Validate implements Change.
func (p Person) Validate() error {
	return errors.Join(checkID("id", p.ID), checkName(p.Name, p.Deleted), checkEmail(p.Email))
}

// AggregateID implements Change.
func (p Person) AggregateID() string { return p.ID }

// EnsureRows implements Change. A person needs no row of a school or class.
func (p Person) EnsureRows(context.Context, Rows) error { return nil }

// Apply implements Change.
func (p Person) Apply(tx Tx) error { return tx.ApplyPerson(p) }

const (
	maxName     = 255 // characters that are stored
	maxEmail    = 320
	maxTimezone = 64 // bytes
)

func checkEmail(email string) error {
	if utf8.RuneCountInString(email) > maxEmail {
		return fmt.Errorf("email has more than %d characters", maxEmail)
	}
	return nil
}

func checkTimezone(name string) error {
	if len(name) > maxTimezone || strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) {
		return errors.New("timezone is not the name of a time zone")
	}
	return nil
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
