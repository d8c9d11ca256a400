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

func (p ClassPatch) check() (ClassPatch, error) {
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
	p, err := ClassPatch{Name: &name, Grade: &grade}.check()
	if err != nil {
		return Class{}, err
	}
	id, err := newID()
	if err != nil {
		return Class{}, err
	}
	now := s.now()
	made := Class{ID: id, SchoolID: schoolID, Name: *p.Name, Grade: *p.Grade, Version: 1, CreatedAt: now, UpdatedAt: now}
	return made, s.Writer.InSchool(ctx, schoolID, func(tx Tx) error {
		st, err := standingIn(tx, c)
		if err != nil {
			return err
		}
		if err := must(st.manages()); err != nil {
			return err
		}
		return tx.AddClass(made)
	})
}

// Classes lists a school's classes, oldest first. not_found.
func (s *Service) Classes(ctx context.Context, c Caller, schoolID string, p page.Request[IDKey]) (page.Page[Class], error) {
	if _, _, err := s.standing(ctx, c, schoolID); err != nil {
		return page.Page[Class]{}, err
	}
	return s.Lister.Classes(ctx, schoolID, p)
}

// GetClass returns a class of a school that the caller may see. not_found.
func (s *Service) GetClass(ctx context.Context, c Caller, id string) (Class, error) {
	class, err := s.Reader.Class(ctx, id)
	if err != nil {
		return Class{}, err
	}
	_, _, err = s.standing(ctx, c, class.SchoolID)
	return class, err
}

// UpdateClass changes a class whose version satisfies the condition. validation_failed, not_found, forbidden,
// precondition_failed.
func (s *Service) UpdateClass(ctx context.Context, c Caller, id string, p ClassPatch, cond etag.Condition) (Class, error) {
	p, err := p.check()
	if err != nil {
		return Class{}, err
	}
	var after Class
	err = s.inClass(ctx, c, id, func(tx Tx, before Class, st standing) error {
		if err := mustRun(tx, c, st, before); err != nil {
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
	return s.inClass(ctx, c, id, func(tx Tx, class Class, st standing) error {
		if err := must(st.manages()); err != nil {
			return err
		}
		if err := cond.Check(class.Version); err != nil {
			return err
		}
		return tx.DeleteClass(class)
	})
}

// inClass locks the class's school and then the class, for one who may see them.
func (s *Service) inClass(ctx context.Context, c Caller, id string, fn func(tx Tx, class Class, st standing) error) error {
	class, err := s.Reader.Class(ctx, id) // for its school, which never changes
	if err != nil {
		return err
	}
	return s.Writer.InSchool(ctx, class.SchoolID, func(tx Tx) error {
		st, err := standingIn(tx, c)
		if err != nil {
			return err
		}
		class, err := tx.Class(id)
		if err != nil {
			return err
		}
		return fn(tx, class, st)
	})
}

// mustRun returns forbidden unless the caller runs the class: the school's owners and admins, and the class's teachers.
func mustRun(tx Tx, c Caller, st standing, class Class) error {
	if st.manages() {
		return nil
	}
	m, err := tx.ClassMember(class.ID, c.UserID)
	if err != nil && !isNotFound(err) {
		return err
	}
	return must(m.Role == RoleTeacher)
}
