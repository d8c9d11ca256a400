package school

import (
	"context"

	"pgo/pkg/entity"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// ClassPatch holds new values for the fields of a class. A nil field is left unchanged.
type ClassPatch struct {
	Name  *string
	Grade *string
}

// normalize returns the patch as it is stored. It returns a validation_failed problem if a value is invalid.
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

// CreateClass creates a class in a school. It returns validation_failed if a value is invalid, not_found if the caller
// may not know of the school, and forbidden if the caller may not manage it.
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
	return made, s.changeSchool(ctx, c, schoolID, mayManage, func(tx Tx) error { return tx.AddClass(made) })
}

// ListClasses lists a school's classes, oldest first: those that are archived, or the others. It returns not_found if the caller may not know of the school.
func (s *Service) ListClasses(ctx context.Context, c Caller, schoolID string, archived bool, p page.Request[IDKey]) (page.Page[Class], error) {
	if _, _, err := s.permissionsOf(ctx, c, schoolID); err != nil {
		return page.Page[Class]{}, err
	}
	return s.Lister.ListClasses(ctx, schoolID, archived, p)
}

// GetClass returns a class. It returns not_found if the class does not exist, is archived, or the caller may not know of its
// school.
func (s *Service) GetClass(ctx context.Context, c Caller, id string) (Class, error) {
	class, err := s.findClass(ctx, id)
	if err != nil {
		return Class{}, err
	}
	_, _, err = s.permissionsOf(ctx, c, class.SchoolID)
	return class, err
}

// findClass returns a class. It returns not_found if the class does not exist or is archived.
func (s *Service) findClass(ctx context.Context, id string) (Class, error) {
	class, err := s.Reader.FindClass(ctx, id)
	if err == nil && class.ArchivedAt != nil {
		err = problem.NotFound()
	}
	return class, err
}

// UpdateClass changes a class whose version satisfies cond, and returns the class after the change. It returns
// validation_failed if a value is invalid, not_found if the caller may not know of the class, forbidden unless the
// caller manages the school or teaches the class, and precondition_failed if the version does not satisfy cond.
func (s *Service) UpdateClass(ctx context.Context, c Caller, id string, p ClassPatch, cond entity.Condition) (Class, error) {
	p, err := p.normalize()
	if err != nil {
		return Class{}, err
	}
	var after Class
	err = s.changeClass(ctx, c, id, c.mayManageClass, func(tx Tx, before Class) error {
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

// ArchiveClass archives a class whose version satisfies cond. It is found no more, and deleted with its memberships after
// KeepArchived, unless it is restored. It returns not_found if the caller may not know of the class, forbidden if the caller
// may not manage the school, precondition_failed if its version does not satisfy cond, and validation_failed unless name is
// the class's, which confirms the call.
func (s *Service) ArchiveClass(ctx context.Context, c Caller, id, name string, cond entity.Condition) error {
	return s.changeClass(ctx, c, id, mayManageSchoolOf, func(tx Tx, class Class) error {
		if err := cond.Check(class.Version); err != nil {
			return err
		}
		if name != class.Name {
			return problem.Invalid(errConfirmation)
		}
		now := s.now()
		class.ArchivedAt, class.UpdatedAt = &now, now
		class.Version++
		return tx.SaveClass(class)
	})
}

// RestoreClass ends the archiving of a class, and returns the class after the change. It returns not_found if the class is
// not archived, was archived longer than KeepArchived ago, or the caller may not know of it, and forbidden if the caller may
// not manage the school.
func (s *Service) RestoreClass(ctx context.Context, c Caller, id string) (Class, error) {
	var after Class
	err := s.changeAnyClass(ctx, c, id, mayManageSchoolOf, func(tx Tx, class Class) error {
		if err := s.requireRestorable(class.ArchivedAt); err != nil {
			return err
		}
		after = class
		after.ArchivedAt, after.UpdatedAt = nil, s.now()
		after.Version++
		return tx.SaveClass(after)
	})
	return after, err
}
