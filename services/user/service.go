package user

import (
	"context"
	"time"

	"pgo/pkg/page"
)

// Reader finds users. What does not exist is a not_found problem.
type Reader interface {
	FindByID(ctx context.Context, id string) (User, error)
	// FindByEmail returns the account with its password hash.
	FindByEmail(ctx context.Context, email string) (*Account, error)
	ListUsers(ctx context.Context, f UserFilter, p page.Request[ListKey]) (page.Page[User], error)
}

// Writer changes users. Each method is one transaction: the row, the sessions and the events, or nothing.
type Writer interface {
	// CreateAccount stores a new account. ErrEmailTaken.
	CreateAccount(ctx context.Context, a *Account) error
	// ChangeAccount locks the account, has fn change it, and stores what fn did, unless fn returns an error. fn may
	// be called again after a deadlock. It returns the user after the change and the sessions that it ended.
	// ErrLastAdmin when no active admin would be left.
	ChangeAccount(ctx context.Context, id string, fn func(*Account) error) (User, []string, error)
	// RedeemToken does what Change does for the account that a mail's token was made for, and spends the token in
	// the same transaction. ErrTokenExpired for a token that is unknown, spent or too old.
	RedeemToken(ctx context.Context, purpose string, token Hash, fn func(*Account) error) (User, []string, error)
}

// SessionStore keeps sessions and the hashes of their refresh tokens.
type SessionStore interface {
	// OpenSession stores a session of an account that is active and still has the given password hash;
	// ErrInvalidCredentials when it is not.
	OpenSession(ctx context.Context, s Session, passwordHash string, refresh Hash) error
	// RotateToken spends a refresh token and stores the next. ErrInvalidRefreshToken, together with the id of the
	// session that was ended because the token had been spent before.
	RotateToken(ctx context.Context, old, next Hash, expires time.Time) (Session, User, string, error)
	// EndSession ends one session of a user; a not_found problem when there is no such open session.
	EndSession(ctx context.Context, userID, sessionID string) error
}

// SessionLister lists a user's open sessions, newest first.
type SessionLister interface {
	ListSessions(ctx context.Context, userID string, p page.Request[ListKey]) (page.Page[Session], error)
}

// Throttle slows down guessing of passwords.
type Throttle interface {
	// CountAttempt counts an attempt before its password is checked, so that many at once do not slip through. It
	// returns how long the client must wait when there were too many failures, else 0.
	CountAttempt(ctx context.Context, email, ip string) time.Duration
	// RecordSuccess takes the attempt back and forgets the failures of this client on this account.
	RecordSuccess(ctx context.Context, email, ip string)
}

// Signer makes access tokens.
type Signer interface {
	// Sign returns the token and for how long it is good.
	Sign(u User, sessionID string) (string, time.Duration, error)
}

// EndedSessions is told which sessions were just ended, so that their tokens die in this process at once.
type EndedSessions interface {
	Add(sessionIDs ...string)
}

// Service is everything that can be done with users. Its methods are safe for concurrent use.
type Service struct {
	Reader        Reader
	Writer        Writer
	Sessions      SessionStore
	Lister        SessionLister
	Throttle      Throttle
	Signer        Signer
	EndedSessions EndedSessions
	Hasher        *Hasher
	RefreshTTL    func() time.Duration // how long a session lives without being used
	Now           func() time.Time     // in UTC
}

// UserFilter says which users a list has; empty fields mean all.
type UserFilter struct {
	Query  string // the start of a name or an e-mail address
	Role   string
	Status string
}

// ListKey is the order of lists: by id, which is by time.
type ListKey struct {
	ID string `json:"id"`
}

// now is the time as the database keeps it: what is answered now and what is read later are the same.
func (s *Service) now() time.Time { return s.Now().Truncate(time.Microsecond) }

// changeAccount is Writer.Change with the ended sessions' tokens dead in this process.
func (s *Service) changeAccount(ctx context.Context, id string, fn func(*Account) error) (User, error) {
	u, ended, err := s.Writer.ChangeAccount(ctx, id, fn)
	if err != nil {
		return User{}, err
	}
	s.EndedSessions.Add(ended...)
	return u, nil
}
