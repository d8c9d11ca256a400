package user

import (
	"context"
	"errors"

	"pgo/pkg/problem"
)

// VerifyEmail spends the token of a verification mail and marks the address as verified. It returns ErrTokenExpired if the
// token is unknown, spent or expired.
func (s *Service) VerifyEmail(ctx context.Context, token string) error {
	_, _, err := s.Writer.RedeemToken(ctx, PurposeVerify, HashToken(token), func(a *Account) error {
		a.setEmailVerified(s.now())
		return nil
	})
	return err
}

// ResendVerification requests another verification mail, unless the address is verified already. It does nothing if the
// account or the client's address has got as many mails as it may.
func (s *Service) ResendVerification(ctx context.Context, userID string, from Client) error {
	if s.Throttle.CountMail(ctx, from.IP) > 0 {
		return nil
	}
	_, err := s.changeAccount(ctx, userID, func(a *Account) error {
		if !a.User.EmailVerified {
			a.requestMail(PurposeVerify)
		}
		return nil
	})
	return err
}

// RequestPasswordReset records a request for a mail that resets the password. HandleResetRequests sends it, so that neither
// the answer nor its time tells the caller which accounts exist. It does nothing if the client's address has got as many
// mails as it may. It returns validation_failed if email is not an address.
func (s *Service) RequestPasswordReset(ctx context.Context, email string, from Client) error {
	normal, ok := NormalizeEmail(email)
	if !ok {
		return problem.Invalid(newEmailError())
	}
	if s.Throttle.CountMail(ctx, from.IP) > 0 {
		return nil
	}
	return s.Resets.AddResetRequest(ctx, emailForms(email, normal)...)
}

// HandleResetRequests requests the mails for the recorded requests. It ignores addresses without an active account, and
// accounts that have got as many mails as they may.
func (s *Service) HandleResetRequests(ctx context.Context) error {
	return s.Resets.HandleResetRequests(ctx, func(a *Account) error {
		if a.User.Status == StatusActive {
			a.requestMail(PurposeReset)
		}
		return nil
	})
}

// SetPassword sets the password of the account with an e-mail address and ends all its sessions, for an operator who
// cannot sign in. It returns validation_failed if the address or the password is invalid, and not_found if there is no
// such account.
func (s *Service) SetPassword(ctx context.Context, email, password string) error {
	normal, ok := NormalizeEmail(email)
	if !ok {
		return problem.Invalid(newEmailError())
	}
	a, err := s.Reader.FindByEmail(ctx, emailForms(email, normal)...)
	if err != nil && !errors.Is(err, problem.NotFound()) {
		return err
	}
	var owner User
	if err == nil {
		owner = a.User
	}
	if err := problem.Invalid(validatePassword("password", password, owner)...); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	hash, err := s.Hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	// The running services read the ended sessions from the database.
	_, _, err = s.Writer.ChangeAccount(ctx, a.User.ID, func(a *Account) error {
		a.setPassword(hash, "", s.now())
		return nil
	})
	return err
}

// ResetPassword spends the token of a reset mail, sets the password, ends all sessions, and returns a token that makes the
// device known. It returns validation_failed, without spending the token, if the password is not acceptable, and
// ErrTokenExpired if the token is unknown, spent or expired.
func (s *Service) ResetPassword(ctx context.Context, token, password string) (deviceToken string, err error) {
	owner, err := s.Reader.FindTokenOwner(ctx, PurposeReset, HashToken(token)) // before the cost of a hash
	if err != nil && !errors.Is(err, ErrTokenExpired) {
		return "", err
	}
	if invalid := problem.Invalid(validatePassword("password", password, owner)...); invalid != nil {
		return "", invalid
	}
	if err != nil {
		return "", err
	}
	hash, err := s.Hasher.Hash(ctx, password)
	if err != nil {
		return "", err
	}
	u, ended, err := s.Writer.RedeemToken(ctx, PurposeReset, HashToken(token), func(a *Account) error {
		a.setPassword(hash, "", s.now())
		a.setEmailVerified(s.now()) // the token came by mail to this address
		return nil
	})
	if err != nil {
		return "", err
	}
	s.EndedSessions.Add(ended...)
	s.Throttle.Forget(ctx, u.Email)
	return s.signDevice(&Account{User: u, PasswordHash: hash}, "")
}
