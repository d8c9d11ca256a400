package user

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// Login opens a session. It returns ErrInvalidCredentials if the address is unknown or the password is wrong, after the
// same time in both cases, ErrUserDisabled if the password is right but the account is disabled, and ErrTooManyAttempts
// with the time to wait after too many failures.
func (s *Service) Login(ctx context.Context, email, password string, from Client) (Tokens, error) {
	normal, ok := NormalizeEmail(email)
	if !ok {
		normal = "" // no account has it; the attempt is still counted and takes the time of a hash
	}
	if wait := s.Throttle.CountAttempt(ctx, normal, from.IP); wait > 0 {
		return Tokens{}, ErrTooManyAttempts.WithRetryAfter(wait)
	}
	a, err := s.Reader.FindByEmail(ctx, normal)
	if errors.Is(err, problem.NotFound()) {
		a = &Account{}
	} else if err != nil {
		return Tokens{}, err
	}
	matches, err := s.Hasher.Verify(ctx, password, a.PasswordHash)
	if err != nil {
		return Tokens{}, err
	}
	if !matches {
		return Tokens{}, ErrInvalidCredentials
	}
	s.Throttle.RecordSuccess(ctx, normal, from.IP)
	if a.User.Status != StatusActive {
		return Tokens{}, ErrUserDisabled
	}
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
	if err := s.Sessions.OpenSession(ctx, session, a.PasswordHash, hash); err != nil {
		return Tokens{}, err
	}
	return s.issueTokens(a.User, session.ID, refresh, now)
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
