package school

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"pgo/pkg/page"
)

// Reader finds schools, classes and roles. Its methods return a not_found problem for an object that does not exist.
type Reader interface {
	// FindSchool returns the school and the person's role in it, "" if they are not a member. An archived school is not found.
	FindSchool(ctx context.Context, id, userID string) (School, string, error)
	// FindClass returns a class, which may be archived. Its school may have been archived or deleted.
	FindClass(ctx context.Context, id string) (Class, error)
	// FindClassRole returns the person's role in the class, "" if they are not in it.
	FindClassRole(ctx context.Context, classID, userID string) (string, error)
	// FindInviteSchool returns the id of the school that the invite belongs to.
	FindInviteSchool(ctx context.Context, code string) (string, error)
	// ViewSchool calls fn with a school that it does not lock: each read sees what is committed by then. It returns not_found if
	// the school does not exist or is archived.
	ViewSchool(ctx context.Context, id string, fn func(View) error) error
	// ViewArchivedSchool does the same for a school that is archived.
	ViewArchivedSchool(ctx context.Context, id string, fn func(View) error) error
}

// Lister returns pages of lists.
type Lister interface {
	// ListSchools and ListClasses list what is archived, or what is not.
	ListSchools(ctx context.Context, userID string, archived bool, p page.Request[IDKey]) (page.Page[SchoolWithRole], error)
	ListMembers(ctx context.Context, schoolID string, f MemberFilter, p page.Request[NameKey]) (page.Page[Member], error)
	ListInvites(ctx context.Context, schoolID string, p page.Request[IDKey]) (page.Page[Invite], error)
	ListClasses(ctx context.Context, schoolID string, archived bool, p page.Request[IDKey]) (page.Page[Class], error)
	ListClassMembers(ctx context.Context, classID, role string, p page.Request[NameKey]) (page.Page[ClassMember], error)
}

// Writer changes schools. Each method is one transaction: it commits the changes that fn makes together with their
// events, or nothing if fn returns an error. It may call fn again after a deadlock.
type Writer interface {
	// CreateSchool stores a new school with its first owner. It returns ErrAccountDeleted if the owner's account was
	// deleted.
	CreateSchool(ctx context.Context, s School, owner string) error
	// ChangeSchool locks the school and calls fn. It returns not_found if the school does not exist or is archived.
	ChangeSchool(ctx context.Context, id string, fn func(Tx) error) error
	// ChangeArchivedSchool does the same for a school that is archived.
	ChangeArchivedSchool(ctx context.Context, id string, fn func(Tx) error) error
	// JoinSchool does what ChangeSchool does for a person who may become a member: the deletion of their account is
	// handled before or after the transaction, never during it. It returns ErrAccountDeleted if the account was deleted,
	// and not_found if the school does not exist.
	JoinSchool(ctx context.Context, id, userID string, fn func(Tx) error) error
}

// View reads one school and what belongs to it. Its Find methods return a not_found problem for what the school does not have.
type View interface {
	School() School
	FindMember(userID string) (Member, error)
	// FindRemoval returns the time at which the person was last removed by another person, and false if they never were.
	FindRemoval(userID string) (time.Time, bool, error)
	// FindClass returns a class, which may be archived.
	FindClass(id string) (Class, error)
	FindClassMember(classID, userID string) (ClassMember, error)
	FindInvite(code string) (Invite, error)
}

// Tx is a transaction on one school, which is locked: no one else changes the school, its members, its classes or its
// invites until the transaction ends.
type Tx interface {
	View
	SaveSchool(s School) error
	MemberTx
	ClassTx
	InviteTx
}

// MemberTx changes the school's members.
type MemberTx interface {
	// HasOtherOwner reports whether the school has an owner other than this person.
	HasOtherOwner(userID string) (bool, error)
	// FindSuccessor returns the member who has been an admin for the longest time. It returns not_found if there is no admin.
	FindSuccessor() (Member, error)
	// SetMember stores a membership, new or with another role, and returns it with its name and version.
	SetMember(m Member) (Member, error)
	RemoveMember(m Member) error
	// BanFromInvites keeps a person who was removed at the time from using invites that were made until then.
	BanFromInvites(userID string, removedAt time.Time) error
}

// ClassTx changes the school's classes and their members.
type ClassTx interface {
	AddClass(c Class) error
	SaveClass(c Class) error
	// ListClassMemberships returns the person's memberships in the school's classes, or only those as a teacher.
	ListClassMemberships(userID string, onlyTaught bool) ([]ClassMember, error)
	// SetClassMember stores a membership in a class, new or with another role, and returns it with its name and version.
	SetClassMember(m ClassMember) (ClassMember, error)
	RemoveClassMember(m ClassMember) error
}

// InviteTx changes the school's invites.
type InviteTx interface {
	AddInvite(i Invite) error
	UseInvite(i Invite) error
	DeleteInvite(i Invite) error
	// DeleteInvitesOf deletes the invites that a person made, except those for the kept roles.
	DeleteInvitesOf(userID string, keptRoles []string) error
}

// Service implements the use cases of schools, members, classes and invites. Its methods are safe for concurrent use.
type Service struct {
	Reader Reader
	Lister Lister
	Writer Writer
	Now    func() time.Time // in UTC
}

// IDKey is the sort key of lists that are ordered by id, which is the order of creation.
type IDKey struct {
	ID string `json:"id"`
}

// NameKey is the sort key of lists of people. People whose name is not known come first.
type NameKey struct {
	Name   string `json:"name"`
	UserID string `json:"user_id"`
}

// MemberFilter selects the members of a list. An empty field selects all.
type MemberFilter struct {
	Query string // the start of a name
	Role  string
}

// now returns the time in the precision of the database, so that a value in a response equals the value read later.
func (s *Service) now() time.Time { return s.Now().Truncate(time.Microsecond) }

// permissionsOf returns the school and the caller's permissions in it, for reading. It returns not_found if the caller may
// not know of the school.
func (s *Service) permissionsOf(ctx context.Context, c Caller, schoolID string) (School, permissions, error) {
	sch, role, err := s.Reader.FindSchool(ctx, schoolID, c.UserID)
	if err != nil {
		return School{}, permissions{}, err
	}
	perms, err := c.permissionsIn(sch, role)
	return sch, perms, err
}

// newID returns a new UUIDv7.
func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("generate id: %w", err)
	}
	return id.String(), nil
}
