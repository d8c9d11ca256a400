package school

import (
	"context"

	"pgo/pkg/entity"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// ListClassMembers lists the members of a class who have the role, or all if role is "", by name. It returns not_found if
// the class does not exist or the caller may not know of its school, and forbidden unless the caller is a member of the
// class or manages the school.
func (s *Service) ListClassMembers(ctx context.Context, c Caller, classID, role string, p page.Request[NameKey]) (page.Page[ClassMember], error) {
	none := page.Page[ClassMember]{}
	class, err := s.findClass(ctx, classID)
	if err != nil {
		return none, err
	}
	_, perms, err := s.permissionsOf(ctx, c, class.SchoolID)
	if err != nil {
		return none, err
	}
	if !perms.mayManage() {
		role, err := s.Reader.FindClassRole(ctx, classID, c.UserID)
		if err != nil {
			return none, err
		}
		if err := requirePermission(role != ""); err != nil {
			return none, err
		}
	}
	return s.Lister.ListClassMembers(ctx, classID, role, p)
}

// SetClassMember adds a member of the school to a class, or changes their role in it, and reports whether they were
// added. It returns validation_failed if the role is unknown or the person is a student of the school and would become
// the class's teacher, not_found if the caller may not know of the class, forbidden if the caller may not manage the
// class, ErrNotASchoolMember if the person is not a member of the school, and precondition_failed if the version of the
// membership does not satisfy cond.
func (s *Service) SetClassMember(ctx context.Context, c Caller, classID, userID, role string, cond entity.Condition) (m ClassMember, added bool, err error) {
	if !isClassRole(role) {
		return m, false, problem.Invalid(errUnknownClassRole)
	}
	err = s.changeClass(ctx, c, classID, c.mayManageClass, func(tx Tx, class Class) error {
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
		if err := cond.Check(m.Version); err != nil { // the version is 0 for a person who is not in the class
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

// RemoveClassMember removes a person from a class. It returns not_found if the caller may not know of the class or the
// person is not in it, forbidden if the caller may not manage the class, and precondition_failed if the version of the
// membership does not satisfy cond.
func (s *Service) RemoveClassMember(ctx context.Context, c Caller, classID, userID string, cond entity.Condition) error {
	return s.changeClass(ctx, c, classID, c.mayManageClass, func(tx Tx, _ Class) error {
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
