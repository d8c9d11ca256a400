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
}

// Register creates an account and requests the mail that verifies its address. It returns validation_failed if a value is
// invalid, and ErrEmailTaken if there is an account with the address.
func (s *Service) Register(ctx context.Context, r Registration) (User, error) {
	return s.createAccount(ctx, r, User{Role: RoleUser}, true)
}

// CreateAdmin creates a platform admin whose address counts as verified. It returns the errors of Register.
func (s *Service) CreateAdmin(ctx context.Context, r Registration) (User, error) {
	return s.createAccount(ctx, r, User{Role: RoleAdmin, EmailVerified: true}, false)
}

func (s *Service) createAccount(ctx context.Context, r Registration, u User, verify bool) (User, error) {
	var fields []problem.Field
	var ok bool
	if u.Email, ok = NormalizeEmail(r.Email); !ok {
		fields = append(fields, newEmailError())
	}
	fields = append(fields, validatePassword("password", r.Password)...)
	if u.Name, ok = NormalizeName(r.Name); !ok {
		fields = append(fields, newNameError())
	}
	if err := problem.Invalid(fields...); err != nil {
		return User{}, err
	}
	hash, err := s.Hasher.Hash(ctx, r.Password)
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
	if verify {
		a.requestMail(PurposeVerify)
	}
	if err := s.Writer.CreateAccount(ctx, a); err != nil {
		return User{}, err
	}
	return u, nil
}
