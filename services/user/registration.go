package user

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"pgo/pkg/problem"
)

// Registration holds the data with which a person signs up.
type Registration struct {
	Email    string `json:"email" example:"ada@example.org"`
	Password string `json:"password" minLength:"10" maxLength:"128" example:"correct horse battery"`
	Name     string `json:"name" minLength:"1" maxLength:"100" example:"Ada Lovelace"`
	Language string `json:"language" enums:"en,zh"` // of mails; optional, by default that of the Accept-Language header
}

// ErrTooManySignUps reports that an address has signed up too many people.
var ErrTooManySignUps = problem.New(problem.KindRateLimited, "too_many_sign_ups", "Too many people have signed up from here. Wait before the next one.")

// Register creates an account and requests the mail that verifies its address. It returns validation_failed if a value is
// invalid, ErrEmailTaken if there is an account with the address, ErrTooManySignUps with the time to wait after too many
// sign-ups from the client's address, and ErrBusy if too many people sign up at once.
func (s *Service) Register(ctx context.Context, r Registration, from Client) (User, error) {
	return s.createAccount(ctx, r, User{Role: RoleUser}, func() error {
		if wait := s.Throttle.CountSignUp(ctx, from.IP); wait > 0 {
			return ErrTooManySignUps.WithRetryAfter(wait)
		}
		return nil
	})
}

// CreateAdmin creates a platform admin whose address counts as verified. It returns the errors of Register.
func (s *Service) CreateAdmin(ctx context.Context, r Registration) (User, error) {
	return s.createAccount(ctx, r, User{Role: RoleAdmin, EmailVerified: true}, func() error { return nil })
}

// createAccount creates an account from a valid registration. It calls admit before it hashes the password.
func (s *Service) createAccount(ctx context.Context, r Registration, u User, admit func() error) (User, error) {
	var fields []problem.Field
	var ok bool
	if u.Email, ok = NormalizeEmail(r.Email); !ok {
		fields = append(fields, newEmailError())
	}
	if u.Name, ok = NormalizeName(r.Name); !ok {
		fields = append(fields, newNameError())
	}
	fields = append(fields, validatePassword("password", r.Password, u)...)
	if u.Language = r.Language; u.Language == "" {
		u.Language = LanguageEnglish
	} else if !isLanguage(u.Language) {
		fields = append(fields, newLanguageError())
	}
	if err := problem.Invalid(fields...); err != nil {
		return User{}, err
	}
	if err := admit(); err != nil {
		return User{}, err
	}
	if taken, err := s.isTakenUnderOldForm(ctx, r.Email); err != nil {
		return User{}, err
	} else if taken {
		return User{}, ErrEmailTaken
	}
	hash, err := s.Hasher.HashForSignUp(ctx, r.Password)
	if err != nil {
		return User{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return User{}, fmt.Errorf("generate user id: %w", err)
	}
	u.ID, u.Status, u.Version = id.String(), StatusActive, 1
	u.CreatedAt = s.now()
	u.UpdatedAt = u.CreatedAt
	a := NewAccount(u, hash)
	if !u.EmailVerified {
		a.requestMail(PurposeVerify)
	}
	if err := s.Writer.CreateAccount(ctx, a); err != nil {
		return User{}, err
	}
	return u, nil
}
