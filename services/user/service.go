package user

import (
	"context"
	"time"

	"pgo/pkg/page"
)

// Reader finds users. Its Find methods return a not_found problem if there is no such user.
type Reader interface {
	FindByID(ctx context.Context, id string) (User, error)
	// FindByEmail returns the account with its password hash. The first of several forms that an account has wins.
	FindByEmail(ctx context.Context, forms ...string) (*Account, error)
	// FindTokenOwner returns the user of a mail's token. It returns ErrTokenExpired unless the token can be redeemed.
	FindTokenOwner(ctx context.Context, purpose string, token Hash) (User, error)
	ListUsers(ctx context.Context, f UserFilter, p page.Request[ListKey]) (page.Page[User], error)
}

// Writer changes users. Each method is one transaction that commits the row, the sessions and the events, or nothing.
type Writer interface {
	// CreateAccount stores a new account. It returns ErrEmailTaken if there is an account with the address.
	CreateAccount(ctx context.Context, a *Account) error
	// ChangeAccount locks the account, has fn change it, and stores what fn did, unless fn returns an error. fn may
	// be called again after a deadlock. It returns the user after the change and the sessions that it ended.
	// It returns not_found if the account does not exist, and ErrLastAdmin if no active admin would be left.
	ChangeAccount(ctx context.Context, id string, fn func(*Account) error) (User, []string, error)
	// RedeemToken does what Change does for the account that a mail's token belongs to, and spends the token in
	// the same transaction. It returns ErrTokenExpired if the token is unknown, spent or expired.
	RedeemToken(ctx context.Context, purpose string, token Hash, fn func(*Account) error) (User, []string, error)
}

// ResetStore keeps requests to reset a password until they are handled.
type ResetStore interface {
	// AddResetRequest takes the same time whether there is an account with one of the forms of an address or not.
	AddResetRequest(ctx context.Context, forms ...string) error
	// HandleResetRequests has fn change the account of each request, and deletes the request in the same transaction.
	HandleResetRequests(ctx context.Context, fn func(*Account) error) error
}

// SessionStore keeps sessions and the hashes of their refresh tokens.
type SessionStore interface {
	// OpenSession stores a session. If the device is not known and the account is not new, it also requests a mail to the
	// owner. It returns ErrInvalidCredentials unless the account is active and still has the given password hash.
	OpenSession(ctx context.Context, s Session, passwordHash string, refresh Hash, isKnownDevice bool) error
	// RotateToken spends a refresh token and stores its successor. A token that the same client spent within the grace
	// period, and whose successor is unspent, gets the stored successor again. It returns ErrInvalidRefreshToken if the
	// token is unknown, spent or expired. For any other token that was spent before it also ends the session.
	RotateToken(ctx context.Context, r Rotation) (Rotated, error)
	// EndSession ends one session of a user. It returns not_found if the user has no such open session.
	EndSession(ctx context.Context, userID, sessionID string) error
}

// SessionLister lists a user's open sessions, newest first.
type SessionLister interface {
	ListSessions(ctx context.Context, userID string, p page.Request[ListKey]) (page.Page[Session], error)
}

// Attempt is an attempt to sign in or to confirm a password.
type Attempt struct {
	Account    string // the normalized address, or what was given for one
	IP         string
	DeviceID   string // of a device that is known to belong to the account, else ""
	SessionID  string // of a person who is signed in and confirms the password, else ""
	IsInvented bool   // there is no such account
}

// Throttle limits what costs a password hash or sends a mail. Each Count method returns the time that the client must wait,
// or 0 if the call is counted.
type Throttle interface {
	// CountAttempt counts an attempt before its password is verified, so that concurrent attempts cannot exceed the
	// limits. A known device and a session are only limited by what they did themselves.
	CountAttempt(ctx context.Context, a Attempt) time.Duration
	// RecordSuccess takes back the counted attempt.
	RecordSuccess(ctx context.Context, a Attempt)
	// CountInvented counts an attempt on an account that does not exist. A client that must wait gets no hash.
	CountInvented(ctx context.Context, ip string) time.Duration
	CountSignUp(ctx context.Context, ip string) time.Duration
	CountMail(ctx context.Context, ip string) time.Duration
	// Forget forgets the failures of unknown devices on an account, after its password was changed by its owner.
	Forget(ctx context.Context, account string)
}

// DeviceTokens signs and verifies the tokens by which an account's own devices are known. A token is valid for the password
// with which it was made.
type DeviceTokens interface {
	SignDevice(userID, deviceID, passwordHash string) (string, error)
	// VerifyDevice returns the device's id, or false if the token is not valid for the account.
	VerifyDevice(token, userID, passwordHash string) (deviceID string, ok bool)
}

// Signer signs access tokens.
type Signer interface {
	// Sign returns an access token that is issued at the given time, and its remaining lifetime. If less than half of the
	// lifetime remained, the token is issued now.
	Sign(u User, sessionID string, issuedAt time.Time) (string, time.Duration, error)
}

// EndedSessions learns which sessions were just ended, so that this process rejects their tokens at once.
type EndedSessions interface {
	Add(sessionIDs ...string)
}

// Service implements the use cases of users and their sessions. Its methods are safe for concurrent use.
type Service struct {
	Reader        Reader
	Writer        Writer
	Sessions      SessionStore
	Lister        SessionLister
	Resets        ResetStore
	Throttle      Throttle
	Signer        Signer
	Devices       DeviceTokens
	EndedSessions EndedSessions
	Hasher        *Hasher
	RefreshTTL    func() time.Duration // how long an unused session stays open
	RefreshGrace  func() time.Duration // how long a refresh can be repeated
	Now           func() time.Time     // in UTC
}

// UserFilter selects the users of a list. An empty field selects all.
type UserFilter struct {
	Query  string // the start of a name or an e-mail address
	Role   string
	Status string
}

// ListKey is the sort key of lists, which are ordered by id and so by time of creation.
type ListKey struct {
	ID string `json:"id"`
}

// now returns the time in the precision of the database, so that a value in a response equals the value read later.
func (s *Service) now() time.Time { return s.Now().Truncate(time.Microsecond) }

// changeAccount does what Writer.ChangeAccount does, and makes this process reject the tokens of the ended sessions at once.
func (s *Service) changeAccount(ctx context.Context, id string, fn func(*Account) error) (User, error) {
	u, ended, err := s.Writer.ChangeAccount(ctx, id, fn)
	if err != nil {
		return User{}, err
	}
	s.EndedSessions.Add(ended...)
	return u, nil
}
