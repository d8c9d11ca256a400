package user

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"pgo/pkg/page"
	"pgo/pkg/problem"
)

// Login opens a session. ErrInvalidCredentials in the same time for a wrong password and for an unknown
// address, ErrUserDisabled for the right password of a disabled account, ErrTooManyAttempts with a time to
// wait.
func (s *Service) Login(ctx context.Context, email, password string, from Client) (Tokens, error) {
	normal, ok := NormalizeEmail(email)
	if !ok {
		normal = "" // no account has it, and the throttle and the hash still count
	}
	if wait := s.Throttle.CountAttempt(ctx, normal, from.IP); wait > 0 {
		return Tokens{}, ErrTooManyAttempts.After(wait)
	}
	a, err := s.Reader.FindByEmail(ctx, normal)
	if errors.Is(err, problem.NotFound()) {
		a = &Account{}
	} else if err != nil {
		return Tokens{}, err
	}
	good, err := s.Hasher.Verify(ctx, password, a.PasswordHash)
	if err != nil {
		return Tokens{}, err
	}
	if !good {
		return Tokens{}, ErrInvalidCredentials
	}
	s.Throttle.RecordSuccess(ctx, normal, from.IP)
	if a.Status != StatusActive {
		return Tokens{}, ErrUserDisabled
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Tokens{}, fmt.Errorf("make session id: %w", err)
	}
	now := s.now()
	session := Session{
		ID: id.String(), UserID: a.ID, CreatedAt: now, LastUsedAt: now,
		ExpiresAt: now.Add(s.RefreshTTL()), IP: from.IP, UserAgent: from.UserAgent,
	}
	refresh, hash := newToken()
	if err := s.Sessions.OpenSession(ctx, session, a.PasswordHash, hash); err != nil {
		return Tokens{}, err
	}
	return s.issueTokens(a.User, session.ID, refresh)
}

// Refresh spends a refresh token for a new pair. ErrInvalidRefreshToken; a token that was spent before also
// ends its session, since two now hold it and one of them stole it.
func (s *Service) Refresh(ctx context.Context, refreshToken string) (Tokens, error) {
	next, hash := newToken()
	session, u, ended, err := s.Sessions.RotateToken(ctx, HashToken(refreshToken), hash, s.now().Add(s.RefreshTTL()))
	if ended != "" {
		s.EndedSessions.Add(ended)
	}
	if err != nil {
		return Tokens{}, err
	}
	return s.issueTokens(u, session.ID, next)
}

func (s *Service) issueTokens(u User, sessionID, refresh string) (Tokens, error) {
	access, lifetime, err := s.Signer.Sign(u, sessionID)
	if err != nil {
		return Tokens{}, fmt.Errorf("sign access token: %w", err)
	}
	return Tokens{AccessToken: access, TokenType: "Bearer", ExpiresIn: int(lifetime.Seconds()), RefreshToken: refresh}, nil
}

// EndSession ends one session of the user; not_found when it is none of theirs or ended already.
func (s *Service) EndSession(ctx context.Context, userID, sessionID string) error {
	if err := s.Sessions.EndSession(ctx, userID, sessionID); err != nil {
		return err
	}
	s.EndedSessions.Add(sessionID)
	return nil
}

// Logout ends the session that the caller uses. One that has ended meanwhile is no error.
func (s *Service) Logout(ctx context.Context, userID, sessionID string) error {
	if err := s.EndSession(ctx, userID, sessionID); err != nil && !errors.Is(err, problem.NotFound()) {
		return err
	}
	return nil
}

// ListSessions lists the user's open sessions; current is marked.
func (s *Service) ListSessions(ctx context.Context, userID, current string, p page.Request[ListKey]) (page.Page[Session], error) {
	list, err := s.Lister.ListSessions(ctx, userID, p)
	for i := range list.Items {
		list.Items[i].Current = list.Items[i].ID == current
	}
	return list, err
}
