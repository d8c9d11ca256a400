package user

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// Credentials is the body of a request to sign in.
type Credentials struct {
	Email       string `json:"email" example:"ada@example.org"`
	Password    string `json:"password" example:"correct horse battery"`
	DeviceToken string `json:"device_token"` // of an earlier sign-in on this device; optional
}

// Login opens a session. It returns ErrInvalidCredentials if the address is unknown or the password is wrong, after the
// same time in both cases, ErrUserDisabled if the password is right but the account is disabled, ErrTooManyAttempts
// with the time to wait after too many failures, and ErrBusy if too many people sign in at once.
func (s *Service) Login(ctx context.Context, c Credentials, from Client) (Tokens, error) {
	a, attempt, err := s.findAttempted(ctx, c, from)
	if err != nil {
		return Tokens{}, err
	}
	if wait := s.Throttle.CountAttempt(ctx, attempt); wait > 0 {
		return Tokens{}, ErrTooManyAttempts.WithRetryAfter(wait)
	}
	if attempt.IsInvented && s.Throttle.CountInvented(ctx, from.IP) > 0 {
		s.Hasher.Imitate(ctx)
		return Tokens{}, ErrInvalidCredentials
	}
	matches, isLegacy, err := s.Hasher.VerifyAny(ctx, c.Password, a.PasswordHash)
	if errors.Is(err, ErrBusy) {
		s.Throttle.RecordSuccess(ctx, attempt) // nothing was guessed
	}
	if err != nil {
		return Tokens{}, err
	}
	if !matches {
		return Tokens{}, ErrInvalidCredentials
	}
	s.Throttle.RecordSuccess(ctx, attempt)
	if a.User.Status != StatusActive {
		return Tokens{}, ErrUserDisabled
	}
	if isLegacy {
		if err := s.rehash(ctx, a, c.Password); err != nil {
			return Tokens{}, err
		}
	}
	return s.openSession(ctx, a, attempt.DeviceID, from)
}

// rehash replaces the hash of the password as it was typed by that of its normalized form. No session ends, since the password
// is the same.
func (s *Service) rehash(ctx context.Context, a *Account, password string) error {
	hash, err := s.Hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	_, err = s.changeAccount(ctx, a.User.ID, func(current *Account) error {
		if current.PasswordHash != a.PasswordHash {
			return ErrInvalidCredentials // the password was changed after it was verified
		}
		current.rehash(hash, s.now())
		return nil
	})
	if err == nil {
		a.PasswordHash = hash
	}
	return err
}

// findAttempted returns the account that someone tries to sign in to, which is empty if there is none, and the attempt.
func (s *Service) findAttempted(ctx context.Context, c Credentials, from Client) (*Account, Attempt, error) {
	normal, ok := NormalizeEmail(c.Email)
	if !ok {
		return &Account{}, Attempt{Account: c.Email, IP: from.IP, IsInvented: true}, nil // no account has it
	}
	a, err := s.Reader.FindByEmail(ctx, emailForms(c.Email, normal)...)
	if errors.Is(err, problem.NotFound()) {
		return &Account{}, Attempt{Account: normal, IP: from.IP, IsInvented: true}, nil
	} else if err != nil {
		return nil, Attempt{}, err
	}
	device, _ := s.Devices.VerifyDevice(c.DeviceToken, a.User.ID, a.PasswordHash)
	return a, Attempt{Account: a.User.Email, IP: from.IP, DeviceID: device}, nil
}

// openSession opens a session on a known device, or on a new one if deviceID is empty.
func (s *Service) openSession(ctx context.Context, a *Account, deviceID string, from Client) (Tokens, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Tokens{}, fmt.Errorf("generate session id: %w", err)
	}
	now := s.now()
	session := Session{
		ID: id.String(), UserID: a.User.ID, CreatedAt: now, LastUsedAt: now,
		ExpiresAt: now.Add(s.RefreshTTL()), IP: from.IP, UserAgent: from.UserAgent,
	}
	refresh, hash := newToken()
	if err := s.Sessions.OpenSession(ctx, session, a.PasswordHash, hash, deviceID != ""); err != nil {
		return Tokens{}, err
	}
	t, err := s.issueTokens(a.User, session.ID, refresh, now)
	if err != nil {
		return Tokens{}, err
	}
	t.DeviceToken, err = s.signDevice(a, deviceID)
	return t, err
}

// signDevice returns a token for a device of the account, for a new one if deviceID is empty.
func (s *Service) signDevice(a *Account, deviceID string) (string, error) {
	if deviceID == "" {
		deviceID = rand.Text()
	}
	token, err := s.Devices.SignDevice(a.User.ID, deviceID, a.PasswordHash)
	if err != nil {
		return "", fmt.Errorf("sign device token: %w", err)
	}
	return token, nil
}

// Refresh spends a refresh token and returns a new pair of tokens. The same client gets the same pair again if it repeats the
// call within the grace period, because two of its tabs refreshed at once or an answer was lost. It returns
// ErrInvalidRefreshToken if the token is unknown, spent or expired. Any other use of a spent token also ends its session: two
// clients hold the token, and one of them must have stolen it.
func (s *Service) Refresh(ctx context.Context, refreshToken string, from Client) (Tokens, error) {
	r, err := s.Sessions.RotateToken(ctx, Rotation{
		Token: HashToken(refreshToken), Salt: newSalt(), Client: HashToken(from.UserAgent), Grace: s.RefreshGrace(), ExpiresAt: s.now().Add(s.RefreshTTL()),
		Successor: func(salt Salt) Hash { return HashToken(successorOf(refreshToken, salt)) },
	})
	if r.Ended != "" {
		s.EndedSessions.Add(r.Ended)
	}
	if err != nil {
		return Tokens{}, err
	}
	return s.issueTokens(r.User, r.Session.ID, successorOf(refreshToken, r.Salt), r.SpentAt)
}

func (s *Service) issueTokens(u User, sessionID, refresh string, at time.Time) (Tokens, error) {
	access, lifetime, err := s.Signer.Sign(u, sessionID, at)
	if err != nil {
		return Tokens{}, fmt.Errorf("sign access token: %w", err)
	}
	return Tokens{AccessToken: access, TokenType: "Bearer", ExpiresIn: int(lifetime.Round(time.Second).Seconds()), RefreshToken: refresh}, nil
}

// EndSession ends one session of the user. It returns not_found if the user has no such open session.
func (s *Service) EndSession(ctx context.Context, userID, sessionID string) error {
	if err := s.Sessions.EndSession(ctx, userID, sessionID); err != nil {
		return err
	}
	s.EndedSessions.Add(sessionID)
	return nil
}

// Logout ends the caller's session. It returns nil if the session has ended already.
func (s *Service) Logout(ctx context.Context, userID, sessionID string) error {
	if err := s.EndSession(ctx, userID, sessionID); err != nil && !errors.Is(err, problem.NotFound()) {
		return err
	}
	return nil
}

// ListSessions lists the user's open sessions, newest first, and marks the one whose id is current.
func (s *Service) ListSessions(ctx context.Context, userID, current string, p page.Request[ListKey]) (page.Page[Session], error) {
	list, err := s.Lister.ListSessions(ctx, userID, p)
	for i := range list.Items {
		list.Items[i].Current = list.Items[i].ID == current
	}
	return list, err
}
