package user

import (
	"context"
	"time"

	"pgo/pkg/page"
)

// Reader finds users. What does not exist is a not_found problem.
type Reader interface {
	ByID(ctx context.Context, id string) (User, error)
	// ByEmail returns the account with its password hash.
	ByEmail(ctx context.Context, email string) (*Account, error)
	List(ctx context.Context, f Filter, p page.Request[ListKey]) (page.Page[User], error)
}

// Writer changes users. Each method is one transaction: the row, the sessions and the events, or nothing.
type Writer interface {
	// Create stores a new account. ErrEmailTaken.
	Create(ctx context.Context, a *Account) error
	// Change locks the account, has fn change it, and stores what fn did, unless fn returns an error. fn may
	// be called again after a deadlock. It returns the user after the change and the sessions that it ended.
	// ErrLastAdmin when no active admin would be left.
	Change(ctx context.Context, id string, fn func(*Account) error) (User, []string, error)
	// Redeem does what Change does for the account that a mail's token was made for, and spends the token in
	// the same transaction. ErrTokenExpired for a token that is unknown, spent or too old.
	Redeem(ctx context.Context, purpose string, token Hash, fn func(*Account) error) (User, []string, error)
}

// SessionStore keeps sessions and the hashes of their refresh tokens.
type SessionStore interface {
	// Open stores a session of an account that is active and still has the given password hash;
	// ErrInvalidCredentials when it is not.
	Open(ctx context.Context, s Session, passwordHash string, refresh Hash) error
	// Rotate spends a refresh token and stores the next. ErrInvalidRefreshToken, together with the id of the
	// session that was ended because the token had been spent before.
	Rotate(ctx context.Context, old, next Hash, expires time.Time) (Session, User, string, error)
	// End ends one session of a user; a not_found problem when there is no such open session.
	End(ctx context.Context, userID, sessionID string) error
}

// SessionLister lists a user's open sessions, newest first.
type SessionLister interface {
	Sessions(ctx context.Context, userID string, p page.Request[ListKey]) (page.Page[Session], error)
}

// Throttle slows down guessing of passwords.
type Throttle interface {
	// Attempt counts an attempt before its password is checked, so that many at once do not slip through. It
	// returns how long the client must wait when there were too many failures, else 0.
	Attempt(ctx context.Context, email, ip string) time.Duration
	// Succeeded takes the attempt back and forgets the failures of this client on this account.
	Succeeded(ctx context.Context, email, ip string)
}

// Signer makes access tokens.
type Signer interface {
	// Sign returns the token and for how long it is good.
	Sign(u User, sessionID string) (string, time.Duration, error)
}

// Ended is told which sessions were just ended, so that their tokens die in this process at once.
type Ended interface {
	Add(sessionIDs ...string)
}

// Service is everything that can be done with users. Its methods are safe for concurrent use.
type Service struct {
	Reader     Reader
	Writer     Writer
	Sessions   SessionStore
	Lister     SessionLister
	Throttle   Throttle
	Signer     Signer
	Ended      Ended
	Hasher     *Hasher
	RefreshTTL func() time.Duration // how long a session lives without being used
	Now        func() time.Time     // in UTC
}

// Filter says which users a list has; empty fields mean all.
type Filter struct {
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

// change is Writer.Change with the ended sessions' tokens dead in this process.
func (s *Service) change(ctx context.Context, id string, fn func(*Account) error) (User, error) {
	u, ended, err := s.Writer.Change(ctx, id, fn)
	if err != nil {
		return User{}, err
	}
	s.Ended.Add(ended...)
	return u, nil
}
