package user

import (
	"context"

	"pgo/pkg/etag"
	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// Get returns a user. not_found.
func (s *Service) Get(ctx context.Context, id string) (User, error) { return s.Reader.ByID(ctx, id) }

// List returns the users that f selects, oldest first.
func (s *Service) List(ctx context.Context, f Filter, p page.Request[ListKey]) (page.Page[User], error) {
	return s.Reader.List(ctx, f, p)
}

// Patch is what may be changed of a user; nil leaves a field as it is.
type Patch struct {
	Name   *string
	Role   *string
	Status *string
}

func (p Patch) check() ([]problem.Field, *string) {
	var fields []problem.Field
	var name *string
	if p.Name != nil {
		n, ok := NormalizeName(*p.Name)
		if !ok {
			fields = append(fields, nameField())
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

// Update changes a user whose version satisfies the condition. A change of role and being disabled end all
// sessions. validation_failed, not_found, precondition_failed, ErrLastAdmin.
func (s *Service) Update(ctx context.Context, id string, p Patch, cond etag.Condition) (User, error) {
	fields, name := p.check()
	if err := problem.Invalid(fields...); err != nil {
		return User{}, err
	}
	return s.change(ctx, id, func(a *Account) error {
		if err := cond.Check(a.Version); err != nil {
			return err
		}
		now := s.now()
		if name != nil {
			a.rename(*name, now)
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

// Delete removes a user and ends all sessions. not_found, precondition_failed, ErrLastAdmin.
func (s *Service) Delete(ctx context.Context, id string, cond etag.Condition) error {
	_, err := s.change(ctx, id, func(a *Account) error {
		if err := cond.Check(a.Version); err != nil {
			return err
		}
		a.delete()
		return nil
	})
	return err
}

// DeleteMe is Delete by the user, who confirms it with the password. ErrInvalidCredentials,
// ErrTooManyAttempts.
func (s *Service) DeleteMe(ctx context.Context, id, password, ip string, cond etag.Condition) error {
	if _, err := s.confirm(ctx, id, password, ip); err != nil {
		return err
	}
	return s.Delete(ctx, id, cond)
}

// ChangePassword ends all of the user's sessions but the current one. validation_failed,
// ErrInvalidCredentials, ErrTooManyAttempts.
func (s *Service) ChangePassword(ctx context.Context, id, session, current, next, ip string) error {
	if err := problem.Invalid(checkPassword("new_password", next)...); err != nil {
		return err
	}
	was, err := s.confirm(ctx, id, current, ip)
	if err != nil {
		return err
	}
	hash, err := s.Hasher.Hash(ctx, next)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, id, func(a *Account) error {
		if a.PasswordHash != was {
			return ErrInvalidCredentials // changed by somebody else since it was checked
		}
		a.setPassword(hash, session, s.now())
		return nil
	})
	return err
}

// confirm checks the user's password, throttled as a login is, and returns its hash.
func (s *Service) confirm(ctx context.Context, id, password, ip string) (string, error) {
	u, err := s.Reader.ByID(ctx, id)
	if err != nil {
		return "", err
	}
	if wait := s.Throttle.Attempt(ctx, u.Email, ip); wait > 0 {
		return "", ErrTooManyAttempts.After(wait)
	}
	a, err := s.Reader.ByEmail(ctx, u.Email)
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
	s.Throttle.Succeeded(ctx, u.Email, ip)
	return a.PasswordHash, nil
}
