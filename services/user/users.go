package user

import (
	"context"
	"errors"

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
	// Language is the language of mails.
	Language *string
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
	if p.Language != nil && !isLanguage(*p.Language) {
		fields = append(fields, newLanguageError())
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
		if p.Language != nil {
			a.setLanguage(*p.Language, now)
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
// ErrInvalidCredentials if the password is wrong, and ErrTooManyAttempts after too many wrong passwords in the session.
func (s *Service) DeleteOwnAccount(ctx context.Context, id, session, password string, cond entity.Condition) error {
	if _, err := s.confirmPassword(ctx, id, session, password); err != nil {
		return err
	}
	return s.DeleteUser(ctx, id, cond)
}

// ChangePassword sets the user's password, ends all sessions but the given one, and returns a new token of the device. It
// returns validation_failed if the new password is not acceptable, ErrInvalidCredentials if the current one is wrong, and
// ErrTooManyAttempts after too many wrong passwords in the session.
func (s *Service) ChangePassword(ctx context.Context, id, session, current, next string) (deviceToken string, err error) {
	u, err := s.Reader.FindByID(ctx, id)
	if err != nil {
		return "", err
	}
	if err := problem.Invalid(validatePassword("new_password", next, u)...); err != nil {
		return "", err
	}
	oldHash, err := s.confirmPassword(ctx, id, session, current)
	if err != nil {
		return "", err
	}
	hash, err := s.Hasher.Hash(ctx, next)
	if err != nil {
		return "", err
	}
	u, err = s.changeAccount(ctx, id, func(a *Account) error {
		if a.PasswordHash != oldHash {
			return ErrInvalidCredentials // the password was changed after it was verified
		}
		a.setPassword(hash, session, s.now())
		return nil
	})
	if err != nil {
		return "", err
	}
	s.Throttle.Forget(ctx, u.Email)
	return s.signDevice(&Account{User: u, PasswordHash: hash}, "")
}

// confirmPassword verifies the user's password and returns its hash. Only wrong passwords in the same session limit it.
func (s *Service) confirmPassword(ctx context.Context, id, session, password string) (string, error) {
	u, err := s.Reader.FindByID(ctx, id)
	if err != nil {
		return "", err
	}
	a, err := s.Reader.FindByEmail(ctx, u.Email)
	if err != nil {
		return "", err
	}
	attempt := Attempt{Account: u.Email, SessionID: session}
	if wait := s.Throttle.CountAttempt(ctx, attempt); wait > 0 {
		return "", ErrTooManyAttempts.WithRetryAfter(wait)
	}
	matches, _, err := s.Hasher.VerifyAny(ctx, password, a.PasswordHash)
	if errors.Is(err, ErrBusy) {
		s.Throttle.RecordSuccess(ctx, attempt) // nothing was guessed
	}
	if err != nil {
		return "", err
	}
	if !matches || a.User.ID != id {
		return "", errWrongPassword
	}
	s.Throttle.RecordSuccess(ctx, attempt)
	return a.PasswordHash, nil
}
