package school

import (
	"context"

	"pgo/pkg/problem"
)

// Each change is checked twice: without the school's lock first, so that a call that is refused waits for no one and keeps no
// one waiting, and again under the lock, since the first check may be out of date by then.

// check returns an error if the caller, who has the permissions, may not make a change.
type check func(v View, perms permissions) error

// changeSchool locks a school and calls fn to change it, if may accepts the call. It returns not_found if the school does not
// exist, is archived, or the caller may not know of it.
func (s *Service) changeSchool(ctx context.Context, c Caller, id string, may check, fn func(Tx) error) error {
	return checkThenChange(c.bindCheck(may), fn,
		func(check func(View) error) error { return s.Reader.ViewSchool(ctx, id, check) },
		func(change func(Tx) error) error { return s.Writer.ChangeSchool(ctx, id, change) })
}

// changeArchivedSchool does what changeSchool does for a school that is archived.
func (s *Service) changeArchivedSchool(ctx context.Context, c Caller, id string, may check, fn func(Tx) error) error {
	return checkThenChange(c.bindCheck(may), fn,
		func(check func(View) error) error { return s.Reader.ViewArchivedSchool(ctx, id, check) },
		func(change func(Tx) error) error { return s.Writer.ChangeArchivedSchool(ctx, id, change) })
}

// joinSchool does what changeSchool does for a person who may become a member of the school, and who need not know of it.
func (s *Service) joinSchool(ctx context.Context, userID, id string, may func(View) error, fn func(Tx) error) error {
	return checkThenChange(may, fn,
		func(check func(View) error) error { return s.Reader.ViewSchool(ctx, id, check) },
		func(change func(Tx) error) error { return s.Writer.JoinSchool(ctx, id, userID, change) })
}

// changeClass does what changeAnyClass does for a class that is not archived. An archived one is not found.
func (s *Service) changeClass(ctx context.Context, c Caller, id string, may classCheck, fn func(tx Tx, class Class) error) error {
	return s.changeAnyClass(ctx, c, id, func(v View, class Class, perms permissions) error {
		if class.ArchivedAt != nil {
			return problem.NotFound()
		}
		return may(v, class, perms)
	}, fn)
}

// classCheck is a check of a change of a class.
type classCheck func(v View, class Class, perms permissions) error

// changeAnyClass locks the school of a class and then the class, and calls fn to change it, if may accepts the call. It returns
// not_found if the class does not exist or the caller may not know of its school.
func (s *Service) changeAnyClass(ctx context.Context, c Caller, id string, may classCheck, fn func(tx Tx, class Class) error) error {
	class, err := s.Reader.FindClass(ctx, id) // for its school, which never changes
	if err != nil {
		return err
	}
	return s.changeSchool(ctx, c, class.SchoolID, func(v View, perms permissions) (err error) {
		if class, err = v.FindClass(id); err != nil {
			return err
		}
		return may(v, class, perms)
	}, func(tx Tx) error { return fn(tx, class) })
}

// bindCheck returns a function that finds the caller's permissions in a school and calls may.
func (c Caller) bindCheck(may check) func(View) error {
	return func(v View) error {
		role, err := memberRole(v, c.UserID)
		if err != nil {
			return err
		}
		perms, err := c.permissionsIn(v.School(), role)
		if err != nil {
			return err
		}
		return may(v, perms)
	}
}

// checkThenChange calls may with the school unlocked, and then may and fn with the school locked.
func checkThenChange(may func(View) error, fn func(Tx) error, view func(func(View) error) error, change func(func(Tx) error) error) error {
	if err := view(may); err != nil {
		return err
	}
	return change(func(tx Tx) error {
		if err := may(tx); err != nil {
			return err
		}
		return fn(tx)
	})
}

// memberRole returns the person's role in the school, "" if they are not a member.
func memberRole(v View, userID string) (string, error) {
	m, err := v.FindMember(userID)
	if isNotFound(err) {
		return "", nil
	}
	return m.Role, err
}

// mayManage is the check of changes by those who manage the school.
func mayManage(_ View, perms permissions) error { return requirePermission(perms.mayManage()) }

// mayDelete is the check of changes by those who may delete the school.
func mayDelete(_ View, perms permissions) error { return requirePermission(perms.mayDelete()) }

// mayManageSchoolOf is the check of changes of a class by those who manage its school.
func mayManageSchoolOf(_ View, _ Class, perms permissions) error {
	return requirePermission(perms.mayManage())
}

// mayManageClass is the check of changes of a class by those who may manage it: the school's owners and admins and the
// class's teachers.
func (c Caller) mayManageClass(v View, class Class, perms permissions) error {
	if perms.mayManage() {
		return nil
	}
	m, err := v.FindClassMember(class.ID, c.UserID)
	if err != nil && !isNotFound(err) {
		return err
	}
	return requirePermission(m.Role == RoleTeacher)
}
