package school

import (
	"context"

	"pgo/pkg/etag"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// ListClassMembers lists who is in a class, by name, for those who are in it and who run the school; role may be "" for
// all. not_found, forbidden.
func (s *Service) ListClassMembers(ctx context.Context, c Caller, classID, role string, p page.Request[NameKey]) (page.Page[ClassMember], error) {
	none := page.Page[ClassMember]{}
	class, err := s.Reader.FindClass(ctx, classID)
	if err != nil {
		return none, err
	}
	_, st, err := s.permissionsOf(ctx, c, class.SchoolID)
	if err != nil {
		return none, err
	}
	if !st.mayManage() {
		mine, err := s.Reader.FindClassRole(ctx, classID, c.UserID)
		if err != nil {
			return none, err
		}
		if err := requirePermission(mine != ""); err != nil {
			return none, err
		}
	}
	return s.Lister.ListClassMembers(ctx, classID, role, p)
}

// SetClassMember puts a member of the school into a class, or changes what they are in it, and reports whether they
// are new. validation_failed, not_found, forbidden, precondition_failed, ErrNotASchoolMember.
func (s *Service) SetClassMember(ctx context.Context, c Caller, classID, userID, role string, cond etag.Condition) (m ClassMember, added bool, err error) {
	if !isClassRole(role) {
		return m, false, problem.Invalid(errUnknownClassRole)
	}
	err = s.changeClass(ctx, c, classID, func(tx Tx, class Class, st permissions) error {
		if err := requireClassManager(tx, c, st, class); err != nil {
			return err
		}
		inSchool, err := memberRole(tx, userID)
		if err != nil {
			return err
		}
		switch {
		case inSchool == "":
			return ErrNotASchoolMember
		case inSchool == RoleStudent && role == RoleTeacher:
			return problem.Invalid(errTeacherIsAStudent)
		}
		m, err = tx.FindClassMember(classID, userID)
		added = isNotFound(err)
		if err != nil && !added {
			return err
		}
		if err := cond.Check(m.Version); err != nil { // 0 where there is nothing yet
			return err
		}
		if m.Role == role {
			return nil
		}
		now := s.now()
		if added {
			m = ClassMember{ClassID: classID, SchoolID: class.SchoolID, UserID: userID, CreatedAt: now}
		}
		m.Role, m.UpdatedAt = role, now
		m, err = tx.SetClassMember(m)
		return err
	})
	return m, added, err
}

// RemoveClassMember takes somebody out of a class. not_found, forbidden, precondition_failed.
func (s *Service) RemoveClassMember(ctx context.Context, c Caller, classID, userID string, cond etag.Condition) error {
	return s.changeClass(ctx, c, classID, func(tx Tx, class Class, st permissions) error {
		if err := requireClassManager(tx, c, st, class); err != nil {
			return err
		}
		m, err := tx.FindClassMember(classID, userID)
		if err != nil {
			return err
		}
		if err := cond.Check(m.Version); err != nil {
			return err
		}
		return tx.RemoveClassMember(m)
	})
}
