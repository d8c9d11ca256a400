package user

import (
	"context"

	"pgo/pkg/etag"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// GetUser returns a user. not_found.
func (s *Service) GetUser(ctx context.Context, id string) (User, error) {
	return s.Reader.FindByID(ctx, id)
}

// ListUsers returns the users that f selects, oldest first.
func (s *Service) ListUsers(ctx context.Context, f UserFilter, p page.Request[ListKey]) (page.Page[User], error) {
	return s.Reader.ListUsers(ctx, f, p)
}

// UserPatch is what may be changed of a user; nil leaves a field as it is.
type UserPatch struct {
	Name   *string
	Role   *string
	Status *string
}

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

// UpdateUser changes a user whose version satisfies the condition. A change of role and being disabled end all
// sessions. validation_failed, not_found, precondition_failed, ErrLastAdmin.
func (s *Service) UpdateUser(ctx context.Context, id string, p UserPatch, cond etag.Condition) (User, error) {
	fields, name := p.normalize()
	if err := problem.Invalid(fields...); err != nil {
		return User{}, err
	}
	return s.changeAccount(ctx, id, func(a *Account) error {
		if err := cond.Check(a.Version); err != nil {
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

// DeleteUser removes a user and ends all sessions. not_found, precondition_failed, ErrLastAdmin.
func (s *Service) DeleteUser(ctx context.Context, id string, cond etag.Condition) error {
	_, err := s.changeAccount(ctx, id, func(a *Account) error {
		if err := cond.Check(a.Version); err != nil {
			return err
		}
		a.markDeleted()
		return nil
	})
	return err
}

// DeleteOwnAccount is Delete by the user, who confirms it with the password. ErrInvalidCredentials,
// ErrTooManyAttempts.
func (s *Service) DeleteOwnAccount(ctx context.Context, id, password, ip string, cond etag.Condition) error {
	if _, err := s.confirmPassword(ctx, id, password, ip); err != nil {
		return err
	}
	return s.DeleteUser(ctx, id, cond)
}

// ChangePassword ends all of the user's sessions but the current one. validation_failed,
// ErrInvalidCredentials, ErrTooManyAttempts.
func (s *Service) ChangePassword(ctx context.Context, id, session, current, next, ip string) error {
	if err := problem.Invalid(validatePassword("new_password", next)...); err != nil {
		return err
	}
	was, err := s.confirmPassword(ctx, id, current, ip)
	if err != nil {
		return err
	}
	hash, err := s.Hasher.Hash(ctx, next)
	if err != nil {
		return err
	}
	_, err = s.changeAccount(ctx, id, func(a *Account) error {
		if a.PasswordHash != was {
			return ErrInvalidCredentials // changed by somebody else since it was checked
		}
		a.setPassword(hash, session, s.now())
		return nil
	})
	return err
}

// confirmPassword checks the user's password, throttled as a login is, and returns its hash.
func (s *Service) confirmPassword(ctx context.Context, id, password, ip string) (string, error) {
	u, err := s.Reader.FindByID(ctx, id)
	if err != nil {
		return "", err
	}
	if wait := s.Throttle.CountAttempt(ctx, u.Email, ip); wait > 0 {
		return "", ErrTooManyAttempts.After(wait)
	}
	a, err := s.Reader.FindByEmail(ctx, u.Email)
	if err != nil {
		return "", err
	}
	good, err := s.Hasher.Verify(ctx, password, a.PasswordHash)
	if err != nil {
		return "", err
	}
	if !good || a.ID != id {
		return "", errWrongPassword
	}
	s.Throttle.RecordSuccess(ctx, u.Email, ip)
	return a.PasswordHash, nil
}
