package token_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"pgo/pkg/auth"
	"pgo/services/user"
	"pgo/services/user/token"
)

func encodePEM(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func newKey(t testing.TB) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return encodePEM(t, key)
}

type nothingRevoked struct{}

func (nothingRevoked) IsRevoked(string) bool { return false }

// TestRotation signs with a key, adds a new key before it, and removes the old one.
func TestRotation(t *testing.T) {
	old, next := newKey(t), newKey(t)
	before, during, after := parseKeys(t, old), parseKeys(t, next+old), parseKeys(t, next)
	now := time.Now()
	sign := func(k *token.Keys) string {
		i := &token.Issuer{Keys: k, Issuer: "pgo", Audience: "pgo", Lifetime: func() time.Duration { return time.Minute }, Now: func() time.Time { return now }}
		s, lifetime, err := i.Sign(user.User{ID: "u1", Role: user.RoleAdmin}, "s1", now)
		if err != nil || lifetime != time.Minute {
			t.Fatal(lifetime, err)
		}
		return s
	}
	for _, tc := range []struct {
		name          string
		signed, known *token.Keys
		ok            bool
	}{
		{"before", before, before, true}, {"an old token during the rotation", before, during, true}, {"a new token during the rotation", during, during, true},
		{"a new token after it", during, after, true}, {"an old token after it", before, after, false}, {"a new token before it", during, before, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, err := auth.NewVerifier("pgo", "pgo", auth.NewStaticKeys(tc.known.PublicKeys()), nothingRevoked{}, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			p, err := v.Verify(sign(tc.signed))
			if (err == nil) != tc.ok {
				t.Fatalf("got %v", err)
			}
			if tc.ok && (p.UserID != "u1" || p.SessionID != "s1" || p.Role != user.RoleAdmin) {
				t.Errorf("names %+v", p)
			}
		})
	}
}

func parseKeys(t testing.TB, text string) *token.Keys {
	t.Helper()
	k, err := token.ParseKeys([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestParseKeysErrors(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := newKey(t)
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", "no signing key"},
		{"no PEM", "secret secret secret", "no signing key"},
		{"another kind", encodePEM(t, ec), "signing key 1 is not an Ed25519 key"},
		{"a good one and another kind", good + encodePEM(t, ec), "signing key 2 is not an Ed25519 key"},
		{"a damaged one", strings.Replace(good, "MC4CAQ", "AAAAAA", 1), "read signing key 1"},
		{"the same twice", good + good, "signing key 2 is a duplicate"},
		{"text between", good + "secret", "after signing key 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := token.ParseKeys([]byte(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestJWKSContainsOnlyPublicKeys(t *testing.T) {
	k := parseKeys(t, newKey(t)+newKey(t))
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(k.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 2 {
		t.Fatalf("%d keys", len(set.Keys))
	}
	for _, j := range set.Keys {
		var names []string
		for name := range j {
			names = append(names, name)
		}
		slices.Sort(names)
		if !slices.Equal(names, []string{"alg", "crv", "kid", "kty", "use", "x"}) {
			t.Errorf("members are %v", names) // d would be the private key
		}
		x, err := base64.RawURLEncoding.DecodeString(j["x"])
		if err != nil || !slices.Equal(x, k.PublicKeys()[j["kid"]]) {
			t.Errorf("key %s is not the public one, %v", j["kid"], err)
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(newKey(f)))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := token.ParseKeys(text)
		if err == nil && (len(k.PublicKeys()) == 0 || !json.Valid(k.JWKS())) {
			t.Errorf("took %q and has no key", text)
		}
	})
}
