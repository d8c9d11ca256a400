package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgo/pkg/testing/servicetest"
	"pgo/services/user/openapi"
)

// offlineConfig returns the settings of a valid configuration besides the addresses of servers.
func offlineConfig(t testing.TB) map[string]string {
	t.Helper()
	return map[string]string{"PGO_CFG_AUTH__SIGNING_KEY": signingKey(t), "PGO_CFG_MAIL__DIR": t.TempDir()}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	otherKey := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	servicetest.TestCommands(t, program(), servicetest.Commands{
		OpenAPI:        openapi.JSON,
		ExtraEnviron:   offlineConfig(t),
		ConfigCommands: [][]string{{"admin", "create", "--email", "a@example.org"}},
		InvalidCommandLines: [][]string{
			{"admin"}, {"admin", "nonsense"}, {"admin", "create"}, {"admin", "create", "x"}, {"admin", "create", "--email"}, {"admin", "create", "--nonsense"},
			{"admin", "password"}, {"admin", "password", "x"},
		},
		BadConfigurations: []servicetest.BadConfiguration{
			{Name: "unknown key of a section", Environ: map[string]string{"PGO_CFG_LOGIN__NONSENSE": "1"}, Want: "login.nonsense: expected a known key"},
			{Name: "wrong duration", Environ: map[string]string{"PGO_CFG_LOGIN__WINDOW": "15"}, Want: "login.window: expected a duration"},
			{Name: "wrong delay", Environ: map[string]string{"PGO_CFG_LOGIN__DELAY": "0s"}, Want: "login.delay: expected a duration"},
			{Name: "missing signing key", Environ: map[string]string{"PGO_CFG_AUTH__SIGNING_KEY": servicetest.Absent}, Want: "auth.signing_key: expected a secret"},
			{Name: "signing key is no PEM", Environ: map[string]string{"PGO_CFG_AUTH__SIGNING_KEY": "hunter2-hunter2-hunter2"}, Want: "auth.signing_key: expected one or more Ed25519 keys"},
			{Name: "signing key of another kind", Environ: map[string]string{"PGO_CFG_AUTH__SIGNING_KEY": otherKey}, Want: "auth.signing_key: expected one or more Ed25519 keys"},
			{Name: "access tokens that live too long", Environ: map[string]string{"PGO_CFG_AUTH__ACCESS_TTL": "2h"}, Want: "auth.access_ttl: expected a duration from 1s to 1h"},
			{Name: "sessions shorter than tokens", Environ: map[string]string{"PGO_CFG_AUTH__REFRESH_TTL": "1m"}, Want: "auth.refresh_ttl: expected a duration longer"},
			{Name: "no attempt allowed", Environ: map[string]string{"PGO_CFG_LOGIN__ACCOUNT": "0"}, Want: "login.account: expected a number above 0"},
			{Name: "negative window", Environ: map[string]string{"PGO_CFG_LOGIN__WINDOW": "-1s"}, Want: "login.window: expected a duration"},
			{Name: "sender", Environ: map[string]string{"PGO_CFG_MAIL__FROM": "not an address"}, Want: "mail.from: expected an e-mail address"},
			{Name: "base of links", Environ: map[string]string{"PGO_CFG_MAIL__BASE_URL": "example.org"}, Want: "mail.base_url: expected a URL"},
			{Name: "SMTP server without a port", Environ: map[string]string{"PGO_CFG_MAIL__SMTP__ADDR": "smtp.example.org"}, Want: "mail.smtp.addr: expected a host and a port"},
			{Name: "kind of TLS", Environ: map[string]string{"PGO_CFG_MAIL__SMTP__ADDR": "smtp.example.org:587", "PGO_CFG_MAIL__SMTP__TLS": "maybe"}, Want: "mail.smtp.tls: expected one of"},
			{Name: "password in clear text", Environ: map[string]string{"PGO_CFG_MAIL__SMTP__ADDR": "smtp.example.org:25", "PGO_CFG_MAIL__SMTP__TLS": "none", "PGO_CFG_MAIL__SMTP__USERNAME": "mailer"}, Want: "mail.smtp.tls: expected starttls or implicit"},
			{Name: "SMTP user without a password", Environ: map[string]string{"PGO_CFG_MAIL__SMTP__ADDR": "smtp.example.org:587", "PGO_CFG_MAIL__SMTP__USERNAME": "mailer"}, Want: "mail.smtp.password: expected a secret"},
			{Name: "authorities", Environ: map[string]string{"PGO_CFG_MAIL__SMTP__ADDR": "smtp.example.org:587", "PGO_CFG_MAIL__SMTP__CA_FILE": "/nonexistent"}, Want: "mail.smtp.ca_file: expected a readable file"},
			{Name: "unknown key in a file", File: "login:\n  account: 3\n  acount: 4\n", Want: "user.yaml:3: login.acount: expected a known key"},
			{Name: "wrong type in a file", File: "login:\n  account: three\n", Want: "user.yaml:2: login.account: expected a whole number"},
			{Name: "bad value in a file", File: "login:\n  account: -3\n", Want: "user.yaml:2: login.account: expected a number above 0"},
		},
	})
}

func TestAdminCreate(t *testing.T) {
	t.Parallel()
	env := newTestEnv(t)
	s := env.start(t)
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file(password + "\r\n")
	for _, tc := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"with a password", []string{"--email", "Root@Example.org", "--password-file", good}, 0, "created admin Root@Example.org\n"},
		{"again", []string{"--email", "root@example.org", "--password-file", good}, 1, "email_taken"},
		{"again if missing", []string{"--email", "root@example.org", "--password-file", good, "--if-missing"}, 0, "root@example.org exists already\n"},
		{"short password", []string{"--email", "a@example.org", "--password-file", file("short")}, 1, "[password: invalid_length]"},
		{"common password", []string{"--email", "a@example.org", "--password-file", file("password1234")}, 1, "[password: common_password]"},
		{"empty password", []string{"--email", "a@example.org", "--password-file", file("")}, 1, "[password: invalid_length]"},
		{"no password file", []string{"--email", "a@example.org", "--password-file", "/nonexistent"}, 1, "read the password"},
		{"bad address and name", []string{"--email", "nonsense", "--name", "", "--password-file", good}, 1, "[email: invalid_email] [name: invalid_name]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, stdout, stderr := env.RunCommand(t, append([]string{"admin", "create"}, tc.args...)...)
			if code != tc.code || !strings.Contains(stdout+stderr, tc.want) || strings.Count(stdout+stderr, "\n") != 1 || (code == 0) != (stderr == "") || strings.Contains(stdout+stderr, password) {
				t.Errorf("ends with %d, %q, %q; want %d and %q", code, stdout, stderr, tc.code, tc.want)
			}
		})
	}
	t.Run("generated password", func(t *testing.T) {
		code, stdout, stderr := env.RunCommand(t, "admin", "create", "--email", "generated@example.org", "--name", "Boss")
		if code != 0 {
			t.Fatalf("ends with %d: %s", code, stderr)
		}
		p := s.withT(t).signIn(person{Email: "generated@example.org"}, strings.TrimSpace(stdout[strings.LastIndexByte(strings.TrimSpace(stdout), ' '):]))
		me := s.withT(t).expect(request{Method: "GET", Path: "/api/v1/users/me", Token: p.Access}, 200, "")
		if me.Text("role") != "admin" || me.Text("name") != "Boss" || me.JSON["email_verified"] != true {
			t.Errorf("created %s", me.Body)
		}
	})
	t.Run("while Redis and RabbitMQ are unavailable", func(t *testing.T) {
		env.RedisLink.Cut()
		env.BrokerLink.Cut()
		defer env.RedisLink.Restore()
		defer env.BrokerLink.Restore()
		if code, _, stderr := env.RunCommand(t, "admin", "create", "--email", "b@example.org", "--password-file", good); code != 0 {
			t.Errorf("ends with %d: %s", code, stderr)
		}
	})
	t.Run("while MySQL is unavailable", func(t *testing.T) {
		code, stdout, stderr := program().RunCommand(t.Context(), program().OfflineEnviron(offlineConfig(t)), "admin", "create", "--email", "c@example.org", "--password-file", good)
		if code != 69 || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("ends with %d, %q, %q; want 69 and one line", code, stdout, stderr)
		}
	})
}
