package school

import (
	"context"

	"pgo/pkg/etag"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// ClassPatch is what may be changed of a class; nil leaves a field as it is.
type ClassPatch struct {
	Name  *string
	Grade *string
}

func (p ClassPatch) normalize() (ClassPatch, error) {
	var fields []problem.Field
	if p.Name != nil {
		name, ok := normalizeName(*p.Name)
		if !ok {
			fields = append(fields, errSchoolOrClassName)
		}
		p.Name = &name
	}
	if p.Grade != nil {
		grade, ok := normalizeGrade(*p.Grade)
		if !ok {
			fields = append(fields, errGrade)
		}
		p.Grade = &grade
	}
	return p, problem.Invalid(fields...)
}

// CreateClass makes a class. validation_failed, not_found, forbidden.
func (s *Service) CreateClass(ctx context.Context, c Caller, schoolID, name, grade string) (Class, error) {
	p, err := ClassPatch{Name: &name, Grade: &grade}.normalize()
	if err != nil {
		return Class{}, err
	}
	id, err := newID()
	if err != nil {
		return Class{}, err
	}
	now := s.now()
	made := Class{ID: id, SchoolID: schoolID, Name: *p.Name, Grade: *p.Grade, Version: 1, CreatedAt: now, UpdatedAt: now}
	return made, s.Writer.ChangeSchool(ctx, schoolID, func(tx Tx) error {
		st, err := lockedPermissionsOf(tx, c)
		if err != nil {
			return err
		}
		if err := requirePermission(st.mayManage()); err != nil {
			return err
		}
		return tx.AddClass(made)
	})
}

// ListClasses lists a school's classes, oldest first. not_found.
func (s *Service) ListClasses(ctx context.Context, c Caller, schoolID string, p page.Request[IDKey]) (page.Page[Class], error) {
	if _, _, err := s.permissionsOf(ctx, c, schoolID); err != nil {
		return page.Page[Class]{}, err
	}
	return s.Lister.ListClasses(ctx, schoolID, p)
}

// GetClass returns a class of a school that the caller may see. not_found.
func (s *Service) GetClass(ctx context.Context, c Caller, id string) (Class, error) {
	class, err := s.Reader.FindClass(ctx, id)
	if err != nil {
		return Class{}, err
	}
	_, _, err = s.permissionsOf(ctx, c, class.SchoolID)
	return class, err
}

// UpdateClass changes a class whose version satisfies the condition. validation_failed, not_found, forbidden,
// precondition_failed.
func (s *Service) UpdateClass(ctx context.Context, c Caller, id string, p ClassPatch, cond etag.Condition) (Class, error) {
	p, err := p.normalize()
	if err != nil {
		return Class{}, err
	}
	var after Class
	err = s.changeClass(ctx, c, id, func(tx Tx, before Class, st permissions) error {
		if err := requireClassManager(tx, c, st, before); err != nil {
			return err
		}
		if err := cond.Check(before.Version); err != nil {
			return err
		}
		after = before
		if p.Name != nil {
			after.Name = *p.Name
		}
		if p.Grade != nil {
			after.Grade = *p.Grade
		}
		if after == before {
			return nil
		}
		after.Version++
		after.UpdatedAt = s.now()
		return tx.SaveClass(after)
	})
	return after, err
}

// DeleteClass removes a class. not_found, forbidden, precondition_failed.
func (s *Service) DeleteClass(ctx context.Context, c Caller, id string, cond etag.Condition) error {
	return s.changeClass(ctx, c, id, func(tx Tx, class Class, st permissions) error {
		if err := requirePermission(st.mayManage()); err != nil {
			return err
		}
		if err := cond.Check(class.Version); err != nil {
			return err
		}
		return tx.DeleteClass(class)
	})
}

// changeClass locks the class's school and then the class, for one who may see them.
func (s *Service) changeClass(ctx context.Context, c Caller, id string, fn func(tx Tx, class Class, st permissions) error) error {
	class, err := s.Reader.FindClass(ctx, id) // for its school, which never changes
	if err != nil {
		return err
	}
	return s.Writer.ChangeSchool(ctx, class.SchoolID, func(tx Tx) error {
		st, err := lockedPermissionsOf(tx, c)
		if err != nil {
			return err
		}
		class, err := tx.FindClass(id)
		if err != nil {
			return err
		}
		return fn(tx, class, st)
	})
}

// requireClassManager returns forbidden unless the caller runs the class: the school's owners and admins, and the class's teachers.
func requireClassManager(tx Tx, c Caller, st permissions, class Class) error {
	if st.mayManage() {
		return nil
	}
	m, err := tx.FindClassMember(class.ID, c.UserID)
	if err != nil && !isNotFound(err) {
		return err
	}
	return requirePermission(m.Role == RoleTeacher)
}
