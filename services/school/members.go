package school

import (
	"context"

	"pgo/pkg/etag"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// ListMembers lists the members that f selects, by name. not_found.
func (s *Service) ListMembers(ctx context.Context, c Caller, schoolID string, f MemberFilter, p page.Request[NameKey]) (page.Page[Member], error) {
	if _, _, err := s.permissionsOf(ctx, c, schoolID); err != nil {
		return page.Page[Member]{}, err
	}
	return s.Lister.ListMembers(ctx, schoolID, f, p)
}

// SetMemberRole changes a member's role. One who becomes a student no longer teaches classes. validation_failed, not_found,
// forbidden, precondition_failed, ErrLastOwner.
func (s *Service) SetMemberRole(ctx context.Context, c Caller, schoolID, userID, role string, cond etag.Condition) (Member, error) {
	if !isSchoolRole(role) {
		return Member{}, problem.Invalid(errUnknownRole)
	}
	var after Member
	err := s.Writer.ChangeSchool(ctx, schoolID, func(tx Tx) error {
		st, err := lockedPermissionsOf(tx, c)
		if err != nil {
			return err
		}
		if err := requirePermission(st.mayManage() || st.isPlatformAdmin); err != nil {
			return err
		}
		if after, err = tx.FindMember(userID); err != nil {
			return err
		}
		if err := requirePermission(st.mayChangeRole(after.Role, role)); err != nil {
			return err
		}
		if err := cond.Check(after.Version); err != nil {
			return err
		}
		if after.Role == role {
			return nil
		}
		if err := requireOtherOwner(tx, after); err != nil {
			return err
		}
		after, err = s.changeRole(tx, after, role)
		return err
	})
	return after, err
}

// changeRole writes a member's new role with what follows from it.
func (s *Service) changeRole(tx Tx, m Member, role string) (Member, error) {
	m.Role, m.UpdatedAt = role, s.now()
	m, err := tx.SetMember(m)
	if err != nil {
		return m, err
	}
	if role == RoleStudent {
		if err := removeFromClasses(tx, m.UserID, true); err != nil {
			return m, err
		}
	}
	if role == RoleOwner {
		return m, s.markOwnerless(tx, false)
	}
	return m, nil
}

// RemoveMember removes a member, or lets the caller leave; from the school's classes too. not_found, forbidden,
// precondition_failed, ErrLastOwner.
func (s *Service) RemoveMember(ctx context.Context, c Caller, schoolID, userID string, cond etag.Condition) error {
	return s.Writer.ChangeSchool(ctx, schoolID, func(tx Tx) error {
		st, err := lockedPermissionsOf(tx, c)
		if err != nil {
			return err
		}
		if err := requirePermission(userID == c.UserID || st.mayManage()); err != nil {
			return err
		}
		m, err := tx.FindMember(userID)
		if err != nil {
			return err
		}
		if err := requirePermission(userID == c.UserID || st.mayRemove(m.Role)); err != nil {
			return err
		}
		if err := cond.Check(m.Version); err != nil {
			return err
		}
		if err := requireOtherOwner(tx, m); err != nil {
			return err
		}
		return removeMember(tx, m)
	})
}

// requireOtherOwner fails when m is the school's last owner. The school's lock makes two who try at once come one after
// the other.
func requireOtherOwner(tx Tx, m Member) error {
	if m.Role != RoleOwner {
		return nil
	}
	another, err := tx.HasOtherOwner(m.UserID)
	if err == nil && !another {
		err = ErrLastOwner
	}
	return err
}

// removeMember takes a member out of the school and its classes.
func removeMember(tx Tx, m Member) error {
	if err := removeFromClasses(tx, m.UserID, false); err != nil {
		return err
	}
	return tx.RemoveMember(m)
}

func removeFromClasses(tx Tx, userID string, teaching bool) error {
	places, err := tx.ListClassMemberships(userID, teaching)
	if err != nil {
		return err
	}
	for _, p := range places {
		if err := tx.RemoveClassMember(p); err != nil {
			return err
		}
	}
	return nil
}

// removeDeletedUser takes one whose account was deleted out of the school. When it loses its last owner so, who has been an
// admin for the longest time becomes one; without admins the school is ownerless. It reports whether it became that.
func (s *Service) removeDeletedUser(tx Tx, m Member) (ownerless bool, err error) {
	if err := removeMember(tx, m); err != nil || m.Role != RoleOwner {
		return false, err
	}
	if another, err := tx.HasOtherOwner(m.UserID); err != nil || another {
		return false, err
	}
	heir, err := tx.FindSuccessor()
	if isNotFound(err) {
		return true, s.markOwnerless(tx, true)
	} else if err != nil {
		return false, err
	}
	_, err = s.changeRole(tx, heir, RoleOwner)
	return false, err
}

func (s *Service) markOwnerless(tx Tx, ownerless bool) error {
	after := tx.School()
	if after.Ownerless == ownerless {
		return nil
	}
	after.Ownerless, after.UpdatedAt = ownerless, s.now()
	after.Version++
	return tx.SaveSchool(after)
}
