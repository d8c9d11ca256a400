package school

import (
	"context"

	"pgo/pkg/entity"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// ListMembers lists the members of a school that f selects, by name. It returns not_found if the caller may not know of
// the school.
func (s *Service) ListMembers(ctx context.Context, c Caller, schoolID string, f MemberFilter, p page.Request[NameKey]) (page.Page[Member], error) {
	if _, _, err := s.permissionsOf(ctx, c, schoolID); err != nil {
		return page.Page[Member]{}, err
	}
	return s.Lister.ListMembers(ctx, schoolID, f, p)
}

// SetMemberRole changes a member's role. A member who becomes a student no longer teaches classes, and invites that the
// member made and could not make in the new role are revoked. It returns
// validation_failed if the role is unknown, not_found if the caller may not know of the school or the person is not a
// member, forbidden if the caller may not make the change, ErrLastOwner if the school would have no owner, and
// precondition_failed if the version of the membership does not satisfy cond.
func (s *Service) SetMemberRole(ctx context.Context, c Caller, schoolID, userID, role string, cond entity.Condition) (Member, error) {
	if !isSchoolRole(role) {
		return Member{}, problem.Invalid(errUnknownRole)
	}
	var after Member
	may := func(v View, perms permissions) (err error) {
		if err := requirePermission(perms.mayManage() || perms.actsForOwner); err != nil {
			return err
		}
		if after, err = v.FindMember(userID); err != nil {
			return err
		}
		return requirePermission(perms.mayChangeRole(after.Role, role))
	}
	err := s.changeSchool(ctx, c, schoolID, may, func(tx Tx) (err error) {
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

// changeRole writes a member's new role. It also revokes the invites that the member could no longer make, removes a new
// student from the classes that they taught, and clears the school's ownerless mark when the member becomes an owner.
func (s *Service) changeRole(tx Tx, m Member, role string) (Member, error) {
	m.Role, m.UpdatedAt = role, s.now()
	m, err := tx.SetMember(m)
	if err != nil {
		return m, err
	}
	if err := tx.DeleteInvitesOf(m.UserID, invitableRoles(role)); err != nil {
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

// RemoveMember removes a member, who may be the caller, from a school and its classes, and revokes the invites that the
// member made. Someone whom another person removed can use only invites that are made afterwards. It returns not_found if the
// caller may not know of the school or the person is not a member, forbidden if the caller may not remove the member,
// ErrLastOwner if the school would have no owner, and precondition_failed if the version of the membership does not
// satisfy cond.
func (s *Service) RemoveMember(ctx context.Context, c Caller, schoolID, userID string, cond entity.Condition) error {
	var m Member
	may := func(v View, perms permissions) (err error) {
		if err := requirePermission(userID == c.UserID || perms.mayManage()); err != nil {
			return err
		}
		if m, err = v.FindMember(userID); err != nil {
			return err
		}
		return requirePermission(userID == c.UserID || perms.mayRemove(m.Role))
	}
	return s.changeSchool(ctx, c, schoolID, may, func(tx Tx) error {
		if err := cond.Check(m.Version); err != nil {
			return err
		}
		if err := requireOtherOwner(tx, m); err != nil {
			return err
		}
		if err := removeMember(tx, m); err != nil || userID == c.UserID {
			return err
		}
		return tx.BanFromInvites(userID, s.now())
	})
}

// requireOtherOwner returns ErrLastOwner if m is the school's last owner. The school's lock serializes concurrent attempts.
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

// removeMember removes a member from the school and its classes, and revokes the invites that the member made.
func removeMember(tx Tx, m Member) error {
	if err := removeFromClasses(tx, m.UserID, false); err != nil {
		return err
	}
	if err := tx.DeleteInvitesOf(m.UserID, nil); err != nil {
		return err
	}
	return tx.RemoveMember(m)
}

// removeFromClasses removes a person from all classes of the school, or only from those that they teach.
func removeFromClasses(tx Tx, userID string, onlyTaught bool) error {
	memberships, err := tx.ListClassMemberships(userID, onlyTaught)
	if err != nil {
		return err
	}
	for _, m := range memberships {
		if err := tx.RemoveClassMember(m); err != nil {
			return err
		}
	}
	return nil
}

// removeDeletedUser removes a member whose account was deleted from the school. If this was the last owner, the admin who
// has been one for the longest time becomes owner; without admins the school becomes ownerless. It reports whether the
// school became ownerless.
func (s *Service) removeDeletedUser(tx Tx, m Member) (ownerless bool, err error) {
	if err := removeMember(tx, m); err != nil || m.Role != RoleOwner {
		return false, err
	}
	if another, err := tx.HasOtherOwner(m.UserID); err != nil || another {
		return false, err
	}
	successor, err := tx.FindSuccessor()
	if isNotFound(err) {
		return true, s.markOwnerless(tx, true)
	} else if err != nil {
		return false, err
	}
	_, err = s.changeRole(tx, successor, RoleOwner)
	return false, err
}

// markOwnerless sets or clears the school's ownerless mark, and does nothing if the mark is set that way already.
func (s *Service) markOwnerless(tx Tx, ownerless bool) error {
	after := tx.School()
	if after.Ownerless == ownerless {
		return nil
	}
	after.Ownerless, after.UpdatedAt = ownerless, s.now()
	after.Version++
	return tx.SaveSchool(after)
}
