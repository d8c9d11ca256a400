package school

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"time"

	"pgo/pkg/page"
	"pgo/pkg/problem"
)

const (
	maxUses   = 10_000
	maxYear   = 9999
	codeBytes = 18 // random bytes: 24 characters that need no escaping in a URL
)

// NewInvite holds the fields of an invite that the caller chooses.
type NewInvite struct {
	Role      string
	MaxUses   int
	ExpiresAt time.Time
}

// validate returns a validation_failed problem if a value is invalid.
func (n NewInvite) validate(now time.Time) error {
	var fields []problem.Field
	if n.Role != RoleAdmin && n.Role != RoleTeacher && n.Role != RoleStudent {
		fields = append(fields, errUnknownInviteRole)
	}
	if n.MaxUses < 1 || n.MaxUses > maxUses {
		fields = append(fields, errInviteUses)
	}
	if !n.ExpiresAt.After(now) || n.ExpiresAt.UTC().Year() >= maxYear {
		fields = append(fields, errInviteExpiresAt)
	}
	return problem.Invalid(fields...)
}

// CreateInvite creates an invite. A teacher may invite students. No one can be invited as an owner: admins see the codes
// of all invites, and could make themselves or others owners with one. It returns validation_failed if a value is
// invalid, not_found if the caller may not know of the school, and forbidden if the caller may not invite people with
// the role.
func (s *Service) CreateInvite(ctx context.Context, c Caller, schoolID string, n NewInvite) (Invite, error) {
	now := s.now()
	if err := n.validate(now); err != nil {
		return Invite{}, err
	}
	id, err := newID()
	if err != nil {
		return Invite{}, err
	}
	b := make([]byte, codeBytes)
	rand.Read(b) // never fails: see crypto/rand
	i := Invite{
		ID: id, Code: base64.RawURLEncoding.EncodeToString(b), SchoolID: schoolID, Role: n.Role, MaxUses: n.MaxUses,
		ExpiresAt: n.ExpiresAt.UTC().Truncate(time.Microsecond), CreatedBy: c.UserID, CreatedAt: now,
	}
	mayInvite := func(_ View, perms permissions) error { return requirePermission(perms.mayInvite(n.Role)) }
	return i, s.changeSchool(ctx, c, schoolID, mayInvite, func(tx Tx) error { return tx.AddInvite(i) })
}

// ListInvites lists a school's invites, oldest first, including expired and used-up ones. It returns not_found if the
// caller may not know of the school, and forbidden if the caller may not manage it.
func (s *Service) ListInvites(ctx context.Context, c Caller, schoolID string, p page.Request[IDKey]) (page.Page[Invite], error) {
	_, perms, err := s.permissionsOf(ctx, c, schoolID)
	if err != nil {
		return page.Page[Invite]{}, err
	}
	if err := requirePermission(perms.mayManage()); err != nil {
		return page.Page[Invite]{}, err
	}
	return s.Lister.ListInvites(ctx, schoolID, p)
}

// DeleteInvite revokes an invite. People who accepted it before stay members. It returns not_found if the invite does
// not exist or the caller may not know of its school, and forbidden if the caller may not manage it.
func (s *Service) DeleteInvite(ctx context.Context, c Caller, code string) error {
	schoolID, err := s.Reader.FindInviteSchool(ctx, code)
	if err != nil {
		return err
	}
	return s.changeSchool(ctx, c, schoolID, mayManage, func(tx Tx) error {
		i, err := tx.FindInvite(code)
		if err != nil {
			return err
		}
		return tx.DeleteInvite(i)
	})
}

// AcceptInvite makes the caller a member of the invite's school. It returns not_found if the invite does not exist or the
// person who made it could not make it now, ErrAlreadyMember if the caller is a member already, ErrRemovedFromSchool if
// another person removed the caller since the invite was made, ErrInviteExpired or ErrInviteUsedUp if the invite can no
// longer be used, and ErrAccountDeleted if the caller's account was deleted.
func (s *Service) AcceptInvite(ctx context.Context, c Caller, code string) (Member, error) {
	schoolID, err := s.Reader.FindInviteSchool(ctx, code)
	if err != nil {
		return Member{}, err
	}
	var i Invite
	var m Member
	may := func(v View) (err error) {
		if i, err = v.FindInvite(code); err != nil {
			return err
		}
		return requireInvitable(v, c.UserID, i, s.now())
	}
	err = s.joinSchool(ctx, c.UserID, schoolID, may, func(tx Tx) (err error) {
		if err := tx.UseInvite(i); err != nil {
			return err
		}
		now := s.now()
		m, err = tx.SetMember(Member{SchoolID: schoolID, UserID: c.UserID, Role: i.Role, CreatedAt: now, UpdatedAt: now})
		return err
	})
	return m, err
}

// requireInvitable returns an error unless the invite may let the person in: see AcceptInvite.
func requireInvitable(v View, userID string, i Invite, now time.Time) error {
	if role, err := memberRole(v, userID); err != nil {
		return err
	} else if role != "" {
		return ErrAlreadyMember
	}
	maker, err := memberRole(v, i.CreatedBy)
	if err != nil {
		return err
	}
	if !(permissions{role: maker}).mayInvite(i.Role) {
		return problem.NotFound() // as for an invite that was revoked
	}
	removedAt, wasRemoved, err := v.FindRemoval(userID)
	switch {
	case err != nil:
		return err
	case wasRemoved && !i.CreatedAt.After(removedAt):
		return ErrRemovedFromSchool
	case !now.Before(i.ExpiresAt):
		return ErrInviteExpired
	case i.Uses >= i.MaxUses:
		return ErrInviteUsedUp
	}
	return nil
}
