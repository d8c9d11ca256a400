package user_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"pgo/pkg/problem"
	"pgo/services/user"
)

// neverWriter fails the test when something is stored.
type neverWriter struct{ user.Writer }

var errStored = errors.New("stored")

func (neverWriter) CreateAccount(context.Context, *user.Account) error { return errStored }

// noThrottle admits everyone.
type noThrottle struct{ user.Throttle }

func (noThrottle) CountSignUp(context.Context, string) time.Duration { return 0 }

func TestPasswordRules(t *testing.T) {
	hasher, err := user.NewHasher()
	if err != nil {
		t.Fatal(err)
	}
	service := &user.Service{Writer: neverWriter{}, Throttle: noThrottle{}, Hasher: hasher, Now: time.Now}
	emoji := "🎈🦉🐝🌍🔥🍕🎲🚲🧭🪁"
	for _, tc := range []struct{ name, password, code string }{
		{"10 characters", "1x3x5x7x9x", ""}, {"9 characters", "1x3x5x7x9", "invalid_length"}, {"empty", "", "invalid_length"},
		{"128 characters", strings.Repeat("éü3x", 32), ""}, {"129 characters", strings.Repeat("x", 129), "invalid_length"},
		{"10 emoji", emoji, ""}, {"3 emoji of many bytes", "👩🏽🎈🎈", "invalid_length"}, {"not UTF-8", "0123456789\xff", "invalid_length"},
		{"10 characters that are 9 when composed", "12345678e\u0301", "invalid_length"},
		{"common", "password1234", "common_password"}, {"common in capitals", "PassWord1234", "common_password"}, {"the first of the list", "!qaz1qaz!qaz", ""},
		{"common in full width", "ｐａｓｓｗｏｒｄ１２３４", "common_password"},
		{"two of the list in lines", "1234567890\nqwertyuiop", ""}, {"passphrase", "correct horse battery staple", ""},
		{"ten spaces", "          ", "weak_password"}, {"one character", "zzzzzzzzzzzz", "weak_password"}, {"one emoji", strings.Repeat("🎈", 12), "weak_password"},
		{"alphabet", "abcdefghij", "weak_password"}, {"year", "Sunshine2026", "weak_password"},
		{"the own address", "ada.lovelace@school.example.org", "weak_password"}, {"its local part", "ada.lovelace", "weak_password"}, {"with a digit", "Ada.Lovelace1", "weak_password"},
		{"its domain", "school.example.org", "weak_password"}, {"the own name", "Augusta Byron", "weak_password"}, {"without space", "augustabyron1", "weak_password"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := service.Register(t.Context(), user.Registration{Email: "Ada.Lovelace@school.example.org", Name: "Augusta Byron", Password: tc.password}, user.Client{})
			p, _ := errors.AsType[*problem.Error](err)
			switch {
			case tc.code == "" && !errors.Is(err, errStored):
				t.Errorf("rejected: %v", err)
			case tc.code != "" && (p == nil || len(p.Fields) != 1 || p.Fields[0].Field != "password" || p.Fields[0].Code != tc.code):
				t.Errorf("got %v, want %s", err, tc.code)
			}
		})
	}
}

func TestHasher(t *testing.T) {
	h, err := user.NewHasher()
	if err != nil {
		t.Fatal(err)
	}
	good, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if other, err := h.Hash(t.Context(), "correct horse"); err != nil || other == good {
		t.Errorf("two hashes of one password are the same, %v", err)
	}
	if strings.Contains(good, "correct") || len(good) > 255 {
		t.Errorf("the hash is %q", good)
	}
	parts := strings.Split(good, "$")
	changed := func(i int, to string) string {
		p := append([]string(nil), parts...)
		p[i] = to
		return strings.Join(p, "$")
	}
	for _, tc := range []struct {
		name, password, hash string
		ok, broken           bool
	}{
		{name: "right", password: "correct horse", hash: good, ok: true},
		{name: "wrong", password: "correct horsE", hash: good},
		{name: "empty password", hash: good},
		{name: "no account", password: "correct horse", hash: ""},
		{name: "other parameters", password: "correct horse", hash: changed(3, "m=8,t=1,p=1")},
		{name: "not a hash", hash: "plain text", broken: true},
		{name: "bcrypt", hash: "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy", broken: true},
		{name: "argon2i", hash: changed(1, "argon2i"), broken: true},
		{name: "other version", hash: changed(2, "v=16"), broken: true},
		{name: "no parameters", hash: changed(3, ""), broken: true},
		{name: "no rounds", hash: changed(3, "m=19456,t=0,p=1"), broken: true},
		{name: "no lanes", hash: changed(3, "m=19456,t=2,p=0"), broken: true},
		{name: "all the memory there is", hash: changed(3, "m=4294967295,t=2,p=1"), broken: true},
		{name: "rounds without end", hash: changed(3, "m=19456,t=4294967295,p=1"), broken: true},
		{name: "negative", hash: changed(3, "m=-1,t=2,p=1"), broken: true},
		{name: "salt is not base64", hash: changed(4, "***"), broken: true},
		{name: "hash is not base64", hash: changed(5, "***"), broken: true},
		{name: "no hash", hash: changed(5, ""), broken: true},
		{name: "too many parts", hash: good + "$x", broken: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ok, err := h.Verify(t.Context(), tc.password, tc.hash)
			if ok != tc.ok || (err != nil) != tc.broken {
				t.Errorf("got %v, %v", ok, err)
			}
			if err != nil && strings.Contains(err.Error(), parts[5]) {
				t.Errorf("the error shows the hash: %v", err)
			}
		})
	}
}

// TestPasswordInAnotherForm verifies a password that is typed in another Unicode form than the one that was set, and one that
// was hashed before passwords were normalized.
func TestPasswordInAnotherForm(t *testing.T) {
	h, err := user.NewHasher()
	if err != nil {
		t.Fatal(err)
	}
	const composed, decomposed, fullWidth = "caf\u00e9 au lait", "cafe\u0301 au lait", "ｃａｆ\u00e9 ａｕ ｌａｉｔ"
	hash, err := h.Hash(t.Context(), decomposed)
	if err != nil {
		t.Fatal(err)
	}
	for _, typed := range []string{composed, decomposed, fullWidth} {
		if matches, isLegacy, err := h.VerifyAny(t.Context(), typed, hash); !matches || isLegacy || err != nil {
			t.Errorf("%q: got %v, %v, %v", typed, matches, isLegacy, err)
		}
	}
	if matches, _, err := h.VerifyAny(t.Context(), "cafe au lait", hash); matches || err != nil {
		t.Errorf("another password matches, %v", err)
	}
}

// BenchmarkWeakPassword measures a refused password of the greatest length: its cost must stay below that of a hash.
func BenchmarkWeakPassword(b *testing.B) {
	service := &user.Service{}
	r := user.Registration{Email: "ada.lovelace@school.example.org", Name: "Augusta Byron", Password: strings.Repeat("p4ssw0rd", 16)}
	for b.Loop() {
		if _, err := service.Register(b.Context(), r, user.Client{}); err == nil {
			b.Fatal("accepted")
		}
	}
}
