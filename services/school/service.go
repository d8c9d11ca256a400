package school

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"pgo/pkg/page"
)

// Reader finds what there is. What does not exist is a not_found problem.
type Reader interface {
	// FindSchool returns the school and the person's role in it, "" for one who is no member.
	FindSchool(ctx context.Context, id, userID string) (School, string, error)
	// FindClass returns a class, which may be some moments old. Its school may be gone.
	FindClass(ctx context.Context, id string) (Class, error)
	// FindClassRole returns the person's role in the class, "" for one who is not in it.
	FindClassRole(ctx context.Context, classID, userID string) (string, error)
	// FindInviteSchool returns the school that the invite lets into.
	FindInviteSchool(ctx context.Context, code string) (string, error)
}

// Lister lists what there is.
type Lister interface {
	ListSchools(ctx context.Context, userID string, p page.Request[IDKey]) (page.Page[SchoolWithRole], error)
	ListMembers(ctx context.Context, schoolID string, f MemberFilter, p page.Request[NameKey]) (page.Page[Member], error)
	ListInvites(ctx context.Context, schoolID string, p page.Request[IDKey]) (page.Page[Invite], error)
	ListClasses(ctx context.Context, schoolID string, p page.Request[IDKey]) (page.Page[Class], error)
	ListClassMembers(ctx context.Context, classID, role string, p page.Request[NameKey]) (page.Page[ClassMember], error)
}

// Writer changes schools. Each method is one transaction: what fn does and its events, or nothing when fn returns an
// error. fn may be called again after a deadlock.
type Writer interface {
	// CreateSchool stores a new school with its first owner. ErrAccountDeleted.
	CreateSchool(ctx context.Context, s School, owner string) error
	// ChangeSchool locks the school for fn. not_found.
	ChangeSchool(ctx context.Context, id string, fn func(Tx) error) error
	// JoinSchool is ChangeSchool for one who may become a member: their account's end comes before or after it, never between.
	// ErrAccountDeleted, not_found.
	JoinSchool(ctx context.Context, id, userID string, fn func(Tx) error) error
}

// Tx is a transaction on one school, which is locked: nobody else changes it, its members, its classes or its invites
// until the transaction ends.
type Tx interface {
	School() School
	SaveSchool(s School) error
	DeleteSchool() error
	MemberTx
	ClassTx
	InviteTx
}

// MemberTx changes who is in the school. What is looked for and is not there is a not_found problem.
type MemberTx interface {
	FindMember(userID string) (Member, error)
	// HasOtherOwner reports whether the school has an owner beside this person.
	HasOtherOwner(userID string) (bool, error)
	// FindSuccessor returns who has been an admin for the longest time.
	FindSuccessor() (Member, error)
	// SetMember stores a membership, new or with another role, and returns it with its name and version.
	SetMember(m Member) (Member, error)
	RemoveMember(m Member) error
}

// ClassTx changes the school's classes and who is in them. What is looked for and is not there is a not_found problem.
type ClassTx interface {
	FindClass(id string) (Class, error)
	AddClass(c Class) error
	SaveClass(c Class) error
	DeleteClass(c Class) error
	FindClassMember(classID, userID string) (ClassMember, error)
	// ListClassMemberships returns the person's places in the school's classes, those of teachers only when asked.
	ListClassMemberships(userID string, teaching bool) ([]ClassMember, error)
	// SetClassMember stores a place in a class, new or with another role, and returns it with its name and version.
	SetClassMember(m ClassMember) (ClassMember, error)
	RemoveClassMember(m ClassMember) error
}

// InviteTx changes the school's invites.
type InviteTx interface {
	// FindInvite returns one of the school's invites; not_found.
	FindInvite(code string) (Invite, error)
	AddInvite(i Invite) error
	UseInvite(i Invite) error
	DeleteInvite(i Invite) error
}

// Service is everything that can be done with schools. Its methods are safe for concurrent use.
type Service struct {
	Reader Reader
	Lister Lister
	Writer Writer
	Now    func() time.Time // in UTC
}

// IDKey is the order of lists of things: by id, which is by time.
type IDKey struct {
	ID string `json:"id"`
}

// NameKey is the order of lists of people; who has no known name comes first.
type NameKey struct {
	Name   string `json:"name"`
	UserID string `json:"user_id"`
}

// MemberFilter says which members a list has; empty fields mean all.
type MemberFilter struct {
	Query string // the start of a name
	Role  string
}

// now is the time as the database keeps it: what is answered now and what is read later are the same.
func (s *Service) now() time.Time { return s.Now().Truncate(time.Microsecond) }

// permissionsOf returns what the caller is in the school, for reading.
func (s *Service) permissionsOf(ctx context.Context, c Caller, schoolID string) (School, permissions, error) {
	sch, role, err := s.Reader.FindSchool(ctx, schoolID, c.UserID)
	if err != nil {
		return School{}, permissions{}, err
	}
	st, err := c.permissionsIn(sch, role)
	return sch, st, err
}

// lockedPermissionsOf is standing under the school's lock.
func lockedPermissionsOf(tx Tx, c Caller) (permissions, error) {
	role, err := memberRole(tx, c.UserID)
	if err != nil {
		return permissions{}, err
	}
	return c.permissionsIn(tx.School(), role)
}

// memberRole returns the person's role in the school, "" for one who is no member.
func memberRole(tx Tx, userID string) (string, error) {
	m, err := tx.FindMember(userID)
	if isNotFound(err) {
		return "", nil
	}
	return m.Role, err
}

func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return id.String(), nil
}
