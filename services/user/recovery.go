package user

import (
	"context"
	"errors"

	"pgo/pkg/problem"
)

// VerifyEmail takes the token of a verification mail. ErrTokenExpired.
func (s *Service) VerifyEmail(ctx context.Context, token string) error {
	_, _, err := s.Writer.RedeemToken(ctx, PurposeVerify, HashToken(token), func(a *Account) error {
		a.setEmailVerified(s.now())
		return nil
	})
	return err
}

// ResendVerification asks for another verification mail, unless the address is verified already.
func (s *Service) ResendVerification(ctx context.Context, userID string) error {
	_, err := s.changeAccount(ctx, userID, func(a *Account) error {
		if !a.EmailVerified {
			a.requestMail(PurposeVerify)
		}
		return nil
	})
	return err
}

// RequestPasswordReset asks for a mail that resets the password. For an address without an active account nothing
// happens, and the caller is not told.
func (s *Service) RequestPasswordReset(ctx context.Context, email string) error {
	normal, ok := NormalizeEmail(email)
	if !ok {
		return problem.Invalid(newEmailError())
	}
	a, err := s.Reader.FindByEmail(ctx, normal)
	if err == nil {
		_, err = s.changeAccount(ctx, a.ID, func(a *Account) error {
			if a.Status == StatusActive {
				a.requestMail(PurposeReset)
			}
			return nil
		})
	}
	if errors.Is(err, problem.NotFound()) {
		return nil
	}
	return err
}

// SetPassword sets the password of the account with an address and ends all its sessions, for an operator who
// has no other way in. validation_failed, not_found.
func (s *Service) SetPassword(ctx context.Context, email, password string) error {
	normal, ok := NormalizeEmail(email)
	if !ok {
		return problem.Invalid(newEmailError())
	}
	if err := problem.Invalid(validatePassword("password", password)...); err != nil {
		return err
	}
	a, err := s.Reader.FindByEmail(ctx, normal)
	if err != nil {
		return err
	}
	hash, err := s.Hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	// The services learn of the ended sessions from the database.
	_, _, err = s.Writer.ChangeAccount(ctx, a.ID, func(a *Account) error {
		a.setPassword(hash, "", s.now())
		return nil
	})
	return err
}

// ResetPassword takes the token of a reset mail and ends all sessions. validation_failed, which does not
// spend the token; ErrTokenExpired.
func (s *Service) ResetPassword(ctx context.Context, token, password string) error {
	if err := problem.Invalid(validatePassword("password", password)...); err != nil {
		return err
	}
	hash, err := s.Hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	_, ended, err := s.Writer.RedeemToken(ctx, PurposeReset, HashToken(token), func(a *Account) error {
		a.setPassword(hash, "", s.now())
		a.setEmailVerified(s.now()) // the token came by mail to this address
		return nil
	})
	if err != nil {
		return err
	}
	s.EndedSessions.Add(ended...)
	return nil
}
