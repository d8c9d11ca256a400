package user

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// Session is one sign-in. It is open until it is ended or has not been used for the lifetime of a refresh token.
type Session struct {
	ID         string    `json:"id"`
	UserID     string    `json:"-"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	IP         string    `json:"ip"`
	UserAgent  string    `json:"user_agent"`
	Current    bool      `json:"current"`
	ExpiresAt  time.Time `json:"-"`
}

// Client describes the origin of a sign-in.
type Client struct {
	IP        string
	UserAgent string
}

// Tokens is the result of a sign-in or a refresh.
type Tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type" example:"Bearer"`
	ExpiresIn    int    `json:"expires_in" example:"900"` // seconds
	RefreshToken string `json:"refresh_token"`
	// DeviceToken makes the device known: its next sign-in is not limited by what others do. Only a sign-in returns it.
	DeviceToken string `json:"device_token,omitempty"`
}

// Hash is the stored form of a refresh token or a mail's token, so that a reader of the database cannot use the tokens.
// Tokens are long and random, so a plain SHA-256 is enough.
type Hash [sha256.Size]byte

const tokenBytes = 32

// newToken returns a random token and its hash.
func newToken() (string, Hash) {
	b := make([]byte, tokenBytes)
	rand.Read(b) // never fails: see crypto/rand
	token := base64.RawURLEncoding.EncodeToString(b)
	return token, HashToken(token)
}

// HashToken returns the hash under which a token is stored.
func HashToken(token string) Hash { return sha256.Sum256([]byte(token)) }

// Salt makes the successor of a refresh token unpredictable to a client that only holds the token.
type Salt [sha256.Size]byte

func newSalt() Salt {
	var s Salt
	rand.Read(s[:]) // never fails: see crypto/rand
	return s
}

// successorOf returns the refresh token that follows token. The same token and salt have the same successor, so that a
// repeated refresh gets the same one while the database holds neither of them.
func successorOf(token string, salt Salt) string {
	mac := hmac.New(sha256.New, salt[:])
	mac.Write([]byte(token))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Rotation is a request to spend a refresh token.
type Rotation struct {
	Token     Hash            // the token to spend
	Salt      Salt            // the salt of its successor, unless the token was spent before
	Successor func(Salt) Hash // the stored form of the successor with a salt
	Client    Hash            // identifies the client as far as it can be told
	Grace     time.Duration   // how long after the spending the same client gets the same successor again
	ExpiresAt time.Time       // when the session expires unless it is used again
}

// Rotated is the result of a Rotation.
type Rotated struct {
	Session Session
	User    User
	Salt    Salt      // the salt of the successor
	SpentAt time.Time // when the token was spent, which is earlier for a repeated rotation
	Ended   string    // the id of the session that the reuse of a spent token ended, else ""
}
