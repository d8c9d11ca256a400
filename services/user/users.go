package user

import (
	"context"

	"pgo/pkg/entity"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// GetUser returns a user. It returns not_found if the user does not exist.
func (s *Service) GetUser(ctx context.Context, id string) (User, error) {
	return s.Reader.FindByID(ctx, id)
}

// ListUsers returns the users that f selects, oldest first.
func (s *Service) ListUsers(ctx context.Context, f UserFilter, p page.Request[ListKey]) (page.Page[User], error) {
	return s.Reader.ListUsers(ctx, f, p)
}

// UserPatch holds new values for the fields of a user. A nil field is left unchanged.
type UserPatch struct {
	Name   *string
	Role   *string
	Status *string
}

// normalize returns the errors of the patch's values, and the name as it is stored.
func (p UserPatch) normalize() ([]problem.Field, *string) {
	var fields []problem.Field
	var name *string
	if p.Name != nil {
		n, ok := NormalizeName(*p.Name)
		if !ok {
			fields = append(fields, newNameError())
		}
		name = &n
	}
	if p.Role != nil && *p.Role != RoleUser && *p.Role != RoleAdmin {
		fields = append(fields, problem.Field{Field: "role", Code: "not_allowed", Message: "must be user or admin"})
	}
	if p.Status != nil && *p.Status != StatusActive && *p.Status != StatusDisabled {
		fields = append(fields, problem.Field{Field: "status", Code: "not_allowed", Message: "must be active or disabled"})
	}
	return fields, name
}

// UpdateUser changes a user whose version satisfies cond, and returns the user after the change. A change of the role and
// disabling the account end all sessions. It returns validation_failed if a value is invalid, not_found if the user does
// not exist, precondition_failed if the version does not satisfy cond, and ErrLastAdmin if no active admin would be left.
func (s *Service) UpdateUser(ctx context.Context, id string, p UserPatch, cond entity.Condition) (User, error) {
	fields, name := p.normalize()
	if err := problem.Invalid(fields...); err != nil {
		return User{}, err
	}
	return s.changeAccount(ctx, id, func(a *Account) error {
		if err := cond.Check(a.User.Version); err != nil {
			return err
		}
		now := s.now()
		if name != nil {
			a.setName(*name, now)
		}
		if p.Role != nil {
			a.setRole(*p.Role, now)
		}
		if p.Status != nil {
			a.setStatus(*p.Status, now)
		}
		return nil
	})
}

// DeleteUser deletes a user whose version satisfies cond, and ends all sessions. It returns not_found if the user does not
// exist, precondition_failed if the version does not satisfy cond, and ErrLastAdmin if no active admin would be left.
func (s *Service) DeleteUser(ctx context.Context, id string, cond entity.Condition) error {
	_, err := s.changeAccount(ctx, id, func(a *Account) error {
		if err := cond.Check(a.User.Version); err != nil {
			return err
		}
		a.markDeleted()
		return nil
	})
	return err
}

// DeleteOwnAccount does what DeleteUser does for the user's own account, confirmed with the password. It also returns
// ErrInvalidCredentials if the password is wrong, and ErrTooManyAttempts after too many wrong passwords.
func (s *Service) DeleteOwnAccount(ctx context.Context, id, password, ip string, cond entity.Condition) error {
	if _, err := s.confirmPassword(ctx, id, password, ip); err != nil {
		return err
	}
	return s.DeleteUser(ctx, id, cond)
}

// ChangePassword sets the user's password and ends all sessions but the given one. It returns validation_failed if the new
// password is not acceptable, ErrInvalidCredentials if the current one is wrong, and ErrTooManyAttempts after too many
// wrong passwords.
func (s *Service) ChangePassword(ctx context.Context, id, session, current, next, ip string) error {
	if err := problem.Invalid(validatePassword("new_password", next)...); err != nil {
		return err
	}
	oldHash, err := s.confirmPassword(ctx, id, current, ip)
	if err != nil {
		return err
	}
	hash, err := s.Hasher.Hash(ctx, next)
	if err != nil {
		return err
	}
	_, err = s.changeAccount(ctx, id, func(a *Account) error {
		if a.PasswordHash != oldHash {
			return ErrInvalidCredentials // the password was changed after it was verified
		}
		a.setPassword(hash, session, s.now())
		return nil
	})
	return err
}

// confirmPassword verifies the user's password, throttled like a login, and returns its hash.
func (s *Service) confirmPassword(ctx context.Context, id, password, ip string) (string, error) {
	u, err := s.Reader.FindByID(ctx, id)
	if err != nil {
		return "", err
	}
	if wait := s.Throttle.CountAttempt(ctx, u.Email, ip); wait > 0 {
		return "", ErrTooManyAttempts.WithRetryAfter(wait)
	}
	a, err := s.Reader.FindByEmail(ctx, u.Email)
	if err != nil {
		return "", err
	}
	matches, err := s.Hasher.Verify(ctx, password, a.PasswordHash)
	if err != nil {
		return "", err
	}
	if !matches || a.User.ID != id {
		return "", errWrongPassword
	}
	s.Throttle.RecordSuccess(ctx, u.Email, ip)
	return a.PasswordHash, nil
}
