package user

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// Session is one sign-in. It lives until it is ended or was not used for the refresh token's lifetime.
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

// Client is where a sign-in comes from.
type Client struct {
	IP        string
	UserAgent string
}

// Tokens is what a sign-in gives.
type Tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type" example:"Bearer"`
	ExpiresIn    int    `json:"expires_in" example:"900"` // seconds
	RefreshToken string `json:"refresh_token"`
}

// Hash is what is stored of a refresh token or a mail's token: who reads the database cannot use them. The
// tokens are random and long, so a plain SHA-256 is enough.
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
