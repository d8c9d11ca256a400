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
	codeBytes = 18 // random: 24 characters that stand in a URL as they are
)

// NewInvite is what a caller says of an invite.
type NewInvite struct {
	Role      string
	MaxUses   int
	ExpiresAt time.Time
}

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

// CreateInvite makes an invite. A teacher may invite students. Nobody can be invited as an owner: admins see the codes of
// all invites, and one of them would be worth more than they may give. validation_failed, not_found, forbidden.
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
	return i, s.Writer.ChangeSchool(ctx, schoolID, func(tx Tx) error {
		st, err := lockedPermissionsOf(tx, c)
		if err != nil {
			return err
		}
		if err := requirePermission(st.mayInvite(n.Role)); err != nil {
			return err
		}
		return tx.AddInvite(i)
	})
}

// ListInvites lists a school's invites, oldest first, also those that are over. not_found, forbidden.
func (s *Service) ListInvites(ctx context.Context, c Caller, schoolID string, p page.Request[IDKey]) (page.Page[Invite], error) {
	_, st, err := s.permissionsOf(ctx, c, schoolID)
	if err != nil {
		return page.Page[Invite]{}, err
	}
	if err := requirePermission(st.mayManage()); err != nil {
		return page.Page[Invite]{}, err
	}
	return s.Lister.ListInvites(ctx, schoolID, p)
}

// DeleteInvite takes an invite back; who used it stays. not_found, forbidden.
func (s *Service) DeleteInvite(ctx context.Context, c Caller, code string) error {
	schoolID, err := s.Reader.FindInviteSchool(ctx, code)
	if err != nil {
		return err
	}
	return s.Writer.ChangeSchool(ctx, schoolID, func(tx Tx) error {
		st, err := lockedPermissionsOf(tx, c)
		if err != nil {
			return err
		}
		if err := requirePermission(st.mayManage()); err != nil {
			return err
		}
		i, err := tx.FindInvite(code)
		if err != nil {
			return err
		}
		return tx.DeleteInvite(i)
	})
}

// AcceptInvite makes the caller a member by an invite. not_found, ErrAlreadyMember, ErrInviteExpired, ErrInviteUsedUp,
// ErrAccountDeleted.
func (s *Service) AcceptInvite(ctx context.Context, c Caller, code string) (Member, error) {
	schoolID, err := s.Reader.FindInviteSchool(ctx, code)
	if err != nil {
		return Member{}, err
	}
	var m Member
	err = s.Writer.JoinSchool(ctx, schoolID, c.UserID, func(tx Tx) error {
		i, err := tx.FindInvite(code) // under the school's lock, as its uses are
		if err != nil {
			return err
		}
		now := s.now()
		if role, err := memberRole(tx, c.UserID); err != nil {
			return err
		} else if role != "" {
			return ErrAlreadyMember
		}
		switch {
		case !now.Before(i.ExpiresAt):
			return ErrInviteExpired
		case i.Uses >= i.MaxUses:
			return ErrInviteUsedUp
		}
		if err := tx.UseInvite(i); err != nil {
			return err
		}
		m, err = tx.SetMember(Member{SchoolID: schoolID, UserID: c.UserID, Role: i.Role, CreatedAt: now, UpdatedAt: now})
		return err
	})
	return m, err
}
