package school

import (
	"context"
	"errors"

	"pgo/pkg/etag"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// SchoolPatch is what may be changed of a school; nil leaves a field as it is.
type SchoolPatch struct {
	Name     *string
	Timezone *string
}

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

// CreateSchool makes a school that the caller owns. validation_failed, ErrAccountDeleted.
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

// ListSchools lists the caller's schools with their role in each, oldest first.
func (s *Service) ListSchools(ctx context.Context, c Caller, p page.Request[IDKey]) (page.Page[SchoolWithRole], error) {
	return s.Lister.ListSchools(ctx, c.UserID, p)
}

// GetSchool returns a school that the caller may see. not_found.
func (s *Service) GetSchool(ctx context.Context, c Caller, id string) (School, error) {
	sch, _, err := s.permissionsOf(ctx, c, id)
	return sch, err
}

// UpdateSchool changes a school whose version satisfies the condition. validation_failed, not_found, forbidden,
// precondition_failed.
func (s *Service) UpdateSchool(ctx context.Context, c Caller, id string, p SchoolPatch, cond etag.Condition) (School, error) {
	p, err := p.normalize()
	if err != nil {
		return School{}, err
	}
	var after School
	err = s.Writer.ChangeSchool(ctx, id, func(tx Tx) error {
		st, err := lockedPermissionsOf(tx, c)
		if err != nil {
			return err
		}
		after = tx.School()
		if err := requirePermission(st.mayManage()); err != nil {
			return err
		}
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

// DeleteSchool removes a school with its members, classes and invites. not_found, forbidden, precondition_failed.
func (s *Service) DeleteSchool(ctx context.Context, c Caller, id string, cond etag.Condition) error {
	return s.Writer.ChangeSchool(ctx, id, func(tx Tx) error {
		st, err := lockedPermissionsOf(tx, c)
		if err != nil {
			return err
		}
		if err := requirePermission(st.mayDelete()); err != nil {
			return err
		}
		if err := cond.Check(tx.School().Version); err != nil {
			return err
		}
		return tx.DeleteSchool()
	})
}

func isNotFound(err error) bool { return errors.Is(err, problem.NotFound()) }
