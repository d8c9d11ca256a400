package school

import (
	"context"
	"errors"
	"time"

	"pgo/pkg/entity"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// SchoolPatch holds new values for the fields of a school. A nil field is left unchanged.
type SchoolPatch struct {
	Name     *string
	Timezone *string
}

// normalize returns the patch as it is stored. It returns a validation_failed problem if a value is invalid.
func (p SchoolPatch) normalize() (SchoolPatch, error) {
	var fields []problem.Field
	if p.Name != nil {
		name, ok := normalizeName(*p.Name)
		if !ok {
			fields = append(fields, errSchoolOrClassName)
		}
		p.Name = &name
	}
	if p.Timezone != nil && !isTimezone(*p.Timezone) {
		fields = append(fields, errTimezone)
	}
	return p, problem.Invalid(fields...)
}

// CreateSchool creates a school that the caller owns. It returns validation_failed if a value is invalid, and
// ErrAccountDeleted if the caller's account was deleted.
func (s *Service) CreateSchool(ctx context.Context, c Caller, name, timezone string) (School, error) {
	p, err := SchoolPatch{Name: &name, Timezone: &timezone}.normalize()
	if err != nil {
		return School{}, err
	}
	id, err := newID()
	if err != nil {
		return School{}, err
	}
	now := s.now()
	made := School{ID: id, Name: *p.Name, Timezone: timezone, Version: 1, CreatedAt: now, UpdatedAt: now}
	return made, s.Writer.CreateSchool(ctx, made, c.UserID)
}

// ListSchools lists the caller's schools with their role in each, oldest first: those that are archived, or the others.
func (s *Service) ListSchools(ctx context.Context, c Caller, archived bool, p page.Request[IDKey]) (page.Page[SchoolWithRole], error) {
	return s.Lister.ListSchools(ctx, c.UserID, archived, p)
}

// GetSchool returns a school. It returns not_found if the caller may not know of it.
func (s *Service) GetSchool(ctx context.Context, c Caller, id string) (School, error) {
	sch, _, err := s.permissionsOf(ctx, c, id)
	return sch, err
}

// UpdateSchool changes a school whose version satisfies cond, and returns the school after the change. It returns
// validation_failed if a value is invalid, not_found if the caller may not know of the school, forbidden if the caller
// may not manage it, and precondition_failed if its version does not satisfy cond.
func (s *Service) UpdateSchool(ctx context.Context, c Caller, id string, p SchoolPatch, cond entity.Condition) (School, error) {
	p, err := p.normalize()
	if err != nil {
		return School{}, err
	}
	var after School
	err = s.changeSchool(ctx, c, id, mayManage, func(tx Tx) error {
		after = tx.School()
		if err := cond.Check(after.Version); err != nil {
			return err
		}
		if p.Name != nil {
			after.Name = *p.Name
		}
		if p.Timezone != nil {
			after.Timezone = *p.Timezone
		}
		if after == tx.School() {
			return nil
		}
		after.Version++
		after.UpdatedAt = s.now()
		return tx.SaveSchool(after)
	})
	return after, err
}

// ArchiveSchool archives a school whose version satisfies cond. It is found no more, and deleted with its members, classes
// and invites after KeepArchived, unless it is restored. It returns not_found if the caller may not know of the school,
// forbidden if the caller may not delete it, precondition_failed if its version does not satisfy cond, and validation_failed
// unless name is the school's, which confirms the call.
func (s *Service) ArchiveSchool(ctx context.Context, c Caller, id, name string, cond entity.Condition) error {
	return s.changeSchool(ctx, c, id, mayDelete, func(tx Tx) error {
		after := tx.School()
		if err := cond.Check(after.Version); err != nil {
			return err
		}
		if name != after.Name {
			return problem.Invalid(errConfirmation)
		}
		now := s.now()
		after.ArchivedAt, after.UpdatedAt = &now, now
		after.Version++
		return tx.SaveSchool(after)
	})
}

// RestoreSchool ends the archiving of a school, and returns the school after the change. It returns not_found if the school
// is not archived, was archived longer than KeepArchived ago, or the caller may not know of it, and forbidden if the caller
// may not delete it.
func (s *Service) RestoreSchool(ctx context.Context, c Caller, id string) (School, error) {
	var after School
	err := s.changeArchivedSchool(ctx, c, id, mayDelete, func(tx Tx) error {
		after = tx.School()
		if err := s.requireRestorable(after.ArchivedAt); err != nil {
			return err
		}
		after.ArchivedAt, after.UpdatedAt = nil, s.now()
		after.Version++
		return tx.SaveSchool(after)
	})
	return after, err
}

// requireRestorable returns a not_found problem unless something that was archived at the time can be restored.
func (s *Service) requireRestorable(archivedAt *time.Time) error {
	if archivedAt == nil || s.now().Sub(*archivedAt) > KeepArchived {
		return problem.NotFound()
	}
	return nil
}

func isNotFound(err error) bool { return errors.Is(err, problem.NotFound()) }
