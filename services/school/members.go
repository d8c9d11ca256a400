package school

import (
	"context"

	"pgo/pkg/etag"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// Members lists the members that f selects, by name. not_found.
func (s *Service) Members(ctx context.Context, c Caller, schoolID string, f MemberFilter, p page.Request[NameKey]) (page.Page[Member], error) {
	if _, _, err := s.standing(ctx, c, schoolID); err != nil {
		return page.Page[Member]{}, err
	}
	return s.Lister.Members(ctx, schoolID, f, p)
}

// SetRole changes a member's role. One who becomes a student no longer teaches classes. validation_failed, not_found,
// forbidden, precondition_failed, ErrLastOwner.
func (s *Service) SetRole(ctx context.Context, c Caller, schoolID, userID, role string, cond etag.Condition) (Member, error) {
	if !isRole(role) {
		return Member{}, problem.Invalid(errUnknownRole)
	}
	var after Member
	err := s.Writer.InSchool(ctx, schoolID, func(tx Tx) error {
		st, err := standingIn(tx, c)
		if err != nil {
			return err
		}
		if err := must(st.manages() || st.custodian); err != nil {
			return err
		}
		if after, err = tx.Member(userID); err != nil {
			return err
		}
		if err := must(st.mayMakeOf(after.Role, role)); err != nil {
			return err
		}
		if err := cond.Check(after.Version); err != nil {
			return err
		}
		if after.Role == role {
			return nil
		}
		if err := keepsAnOwner(tx, after); err != nil {
			return err
		}
		after, err = s.setRole(tx, after, role)
		return err
	})
	return after, err
}

// setRole writes a member's new role with what follows from it.
func (s *Service) setRole(tx Tx, m Member, role string) (Member, error) {
	m.Role, m.UpdatedAt = role, s.now()
	m, err := tx.SetMember(m)
	if err != nil {
		return m, err
	}
	if role == RoleStudent {
		if err := leaveClasses(tx, m.UserID, true); err != nil {
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
	return s.Writer.InSchool(ctx, schoolID, func(tx Tx) error {
		st, err := standingIn(tx, c)
		if err != nil {
			return err
		}
		if err := must(userID == c.UserID || st.manages()); err != nil {
			return err
		}
		m, err := tx.Member(userID)
		if err != nil {
			return err
		}
		if err := must(userID == c.UserID || st.mayRemove(m.Role)); err != nil {
			return err
		}
		if err := cond.Check(m.Version); err != nil {
			return err
		}
		if err := keepsAnOwner(tx, m); err != nil {
			return err
		}
		return remove(tx, m)
	})
}

// keepsAnOwner fails when m is the school's last owner. The school's lock makes two who try at once come one after
// the other.
func keepsAnOwner(tx Tx, m Member) error {
	if m.Role != RoleOwner {
		return nil
	}
	another, err := tx.AnotherOwner(m.UserID)
	if err == nil && !another {
		err = ErrLastOwner
	}
	return err
}

// remove takes a member out of the school and its classes.
func remove(tx Tx, m Member) error {
	if err := leaveClasses(tx, m.UserID, false); err != nil {
		return err
	}
	return tx.RemoveMember(m)
}

func leaveClasses(tx Tx, userID string, teaching bool) error {
	places, err := tx.ClassesOf(userID, teaching)
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

// departed takes one whose account was deleted out of the school. When it loses its last owner so, who has been an
// admin for the longest time becomes one; without admins the school is ownerless. It reports whether it became that.
func (s *Service) departed(tx Tx, m Member) (ownerless bool, err error) {
	if err := remove(tx, m); err != nil || m.Role != RoleOwner {
		return false, err
	}
	if another, err := tx.AnotherOwner(m.UserID); err != nil || another {
		return false, err
	}
	heir, err := tx.Heir()
	if isNotFound(err) {
		return true, s.markOwnerless(tx, true)
	} else if err != nil {
		return false, err
	}
	_, err = s.setRole(tx, heir, RoleOwner)
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
