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
	// School returns the school and the person's role in it, "" for one who is no member.
	School(ctx context.Context, id, userID string) (School, string, error)
	// Class returns a class, which may be some moments old. Its school may be gone.
	Class(ctx context.Context, id string) (Class, error)
	// ClassRole returns the person's role in the class, "" for one who is not in it.
	ClassRole(ctx context.Context, classID, userID string) (string, error)
	// InviteSchool returns the school that the invite lets into.
	InviteSchool(ctx context.Context, code string) (string, error)
}

// Lister lists what there is.
type Lister interface {
	Schools(ctx context.Context, userID string, p page.Request[IDKey]) (page.Page[Mine], error)
	Members(ctx context.Context, schoolID string, f MemberFilter, p page.Request[NameKey]) (page.Page[Member], error)
	Invites(ctx context.Context, schoolID string, p page.Request[IDKey]) (page.Page[Invite], error)
	Classes(ctx context.Context, schoolID string, p page.Request[IDKey]) (page.Page[Class], error)
	ClassMembers(ctx context.Context, classID, role string, p page.Request[NameKey]) (page.Page[ClassMember], error)
}

// Writer changes schools. Each method is one transaction: what fn does and its events, or nothing when fn returns an
// error. fn may be called again after a deadlock.
type Writer interface {
	// Create stores a new school with its first owner. ErrAccountDeleted.
	Create(ctx context.Context, s School, owner string) error
	// InSchool locks the school for fn. not_found.
	InSchool(ctx context.Context, id string, fn func(Tx) error) error
	// Join is InSchool for one who may become a member: their account's end comes before or after it, never between.
	// ErrAccountDeleted, not_found.
	Join(ctx context.Context, id, userID string, fn func(Tx) error) error
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
	Member(userID string) (Member, error)
	// AnotherOwner reports whether the school has an owner beside this person.
	AnotherOwner(userID string) (bool, error)
	// Heir returns who has been an admin for the longest time.
	Heir() (Member, error)
	// SetMember stores a membership, new or with another role, and returns it with its name and version.
	SetMember(m Member) (Member, error)
	RemoveMember(m Member) error
}

// ClassTx changes the school's classes and who is in them. What is looked for and is not there is a not_found problem.
type ClassTx interface {
	Class(id string) (Class, error)
	AddClass(c Class) error
	SaveClass(c Class) error
	DeleteClass(c Class) error
	ClassMember(classID, userID string) (ClassMember, error)
	// ClassesOf returns the person's places in the school's classes, those of teachers only when asked.
	ClassesOf(userID string, teaching bool) ([]ClassMember, error)
	// SetClassMember stores a place in a class, new or with another role, and returns it with its name and version.
	SetClassMember(m ClassMember) (ClassMember, error)
	RemoveClassMember(m ClassMember) error
}

// InviteTx changes the school's invites.
type InviteTx interface {
	// Invite returns one of the school's invites; not_found.
	Invite(code string) (Invite, error)
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

// standing returns what the caller is in the school, for reading.
func (s *Service) standing(ctx context.Context, c Caller, schoolID string) (School, standing, error) {
	sch, role, err := s.Reader.School(ctx, schoolID, c.UserID)
	if err != nil {
		return School{}, standing{}, err
	}
	st, err := c.in(sch, role)
	return sch, st, err
}

// standingIn is standing under the school's lock.
func standingIn(tx Tx, c Caller) (standing, error) {
	role, err := roleIn(tx, c.UserID)
	if err != nil {
		return standing{}, err
	}
	return c.in(tx.School(), role)
}

// roleIn returns the person's role in the school, "" for one who is no member.
func roleIn(tx Tx, userID string) (string, error) {
	m, err := tx.Member(userID)
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
