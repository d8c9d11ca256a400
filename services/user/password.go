package user

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Parameters of argon2id: the second choice of RFC 9106 scaled to the minimum of OWASP's password storage cheat sheet. A
// hash carries its own parameters, so they can be raised.
const (
	argonMemory = 19 * 1024 // KiB
	argonTime   = 2
	argonLanes  = 1
	saltSize    = 16
	hashSize    = 32
)

// Limits of the parameters in a stored hash, so that a damaged hash cannot exhaust the machine.
const (
	maxArgonMemory = 1024 * 1024 // KiB
	maxArgonTime   = 64
)

// Hasher generates and verifies argon2id password hashes, as many at once as its queue allows. It is safe for concurrent use.
type Hasher struct {
	queue *hashQueue
	dummy string
}

// NewHasher returns a Hasher. It takes as long as hashing one password.
func NewHasher() (*Hasher, error) {
	h := &Hasher{queue: newHashQueue()}
	dummy, err := h.Hash(context.Background(), rand.Text())
	if err != nil {
		return nil, err
	}
	h.dummy = dummy
	return h, nil
}

// Hash returns the password's hash in PHC string format, for a person who has an account. It returns ErrBusy if too many
// calls wait already, and an error if ctx ends while it waits.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	return h.hashFor(ctx, forSignIn, normalizePassword(password))
}

// HashForSignUp does what Hash does for a new person.
func (h *Hasher) HashForSignUp(ctx context.Context, password string) (string, error) {
	return h.hashFor(ctx, forSignUp, normalizePassword(password))
}

func (h *Hasher) hashFor(ctx context.Context, p hashPurpose, password string) (string, error) {
	salt := make([]byte, saltSize)
	rand.Read(salt) // never fails: see crypto/rand
	var key []byte
	if err := h.queue.run(ctx, p, func() {
		key = argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, hashSize)
	}); err != nil {
		return "", err
	}
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, enc.EncodeToString(salt), enc.EncodeToString(key)), nil
}

// Imitate waits as long as Verify takes now, without its cost.
func (h *Hasher) Imitate(ctx context.Context) { h.queue.imitate(ctx) }

// Verify reports whether password matches hash. An empty hash, of an account that does not exist, takes the same time as a
// wrong password. It returns ErrBusy if too many calls wait already, and an error if ctx ends while it waits or if hash is not
// a valid hash of a Hasher.
func (h *Hasher) Verify(ctx context.Context, password, hash string) (bool, error) {
	exists := hash != ""
	if !exists {
		hash = h.dummy
	}
	var version int
	var memory, time uint32
	var lanes uint8
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, fmt.Errorf("unknown password hash")
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &time, &lanes); err != nil || version != argon2.Version || time == 0 || lanes == 0 || memory > maxArgonMemory || time > maxArgonTime {
		return false, fmt.Errorf("unknown password hash parameters %q", parts[3])
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, fmt.Errorf("read password salt: %w", err)
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(want) == 0 {
		return false, fmt.Errorf("read password hash: %w", err)
	}
	var got []byte
	if err := h.queue.run(ctx, forSignIn, func() {
		got = argon2.IDKey([]byte(password), salt, time, memory, lanes, uint32(len(want)))
	}); err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1 && exists, nil
}

// VerifyAny does what Verify does for a password that may have been hashed before passwords were normalized. isLegacy is true if
// only the password as it was typed matches. The work depends on the password alone, not on whether the account exists.
func (h *Hasher) VerifyAny(ctx context.Context, password, hash string) (matches, isLegacy bool, err error) {
	normal := normalizePassword(password)
	matches, err = h.Verify(ctx, normal, hash)
	if err != nil || matches || normal == password {
		return matches, false, err
	}
	matches, err = h.Verify(ctx, password, hash)
	return matches, matches, err
}
