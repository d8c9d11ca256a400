package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgo/pkg/testing/servicetest"
	"pgo/pkg/testing/testkit"
	"pgo/services/user/events"
	"pgo/services/user/migrations"
)

// testEnv holds the servers of one or more instances, their signing key and the directory of their mails.
type testEnv struct {
	*servicetest.Env
	key     ed25519.PrivateKey
	keyFile string
	mailDir string
}

// program returns the program under test.
func program() servicetest.Service {
	return servicetest.Service{
		Name: "user", Migrations: migrations.FS, Topology: events.Topology(), Run: run, ConfigDir: "../../../../configs",
		Secrets: []string{password, "@example.org", "argon2id"},
	}
}

func newTestEnv(t *testing.T) *testEnv {
	t.Helper()
	env := &testEnv{mailDir: t.TempDir(), Env: servicetest.NewEnv(t, program())}
	env.keyFile = filepath.Join(t.TempDir(), "key.pem")
	text := signingKey(t)
	if err := os.WriteFile(env.keyFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(text))
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	env.key = parsed.(ed25519.PrivateKey)
	env.Environ = append(env.Environ, "PGO_CFG_AUTH__SIGNING_KEY_FILE="+env.keyFile, "PGO_CFG_MAIL__DIR="+env.mailDir, "PGO_CFG_LOGIN__ADDRESS=100000", "PGO_CFG_LOGIN__SIGN_UP=100000", "PGO_CFG_LOGIN__MAIL=100000")
	return env
}

// signingKey returns a new key as it stands in its file.
func signingKey(t testing.TB) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// readMails returns the texts of the mails to an address whose subject contains about.
func (env *testEnv) readMails(t testing.TB, to, about string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(env.mailDir, "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), to) && strings.Contains(string(text), about) {
			found = append(found, string(text))
		}
	}
	return found
}

// awaitMailToken waits for the n-th mail and returns the token in the newest, once it is good.
func (env *testEnv) awaitMailToken(t testing.TB, to, about string, n int) string {
	t.Helper()
	var token string
	db := env.DB.Open(t)
	testkit.Eventually(t, about+" mail", func() error {
		all := env.readMails(t, to, about)
		if len(all) < n {
			return errors.New("not there")
		}
		token = findToken(all[len(all)-1])
		hash := sha256.Sum256([]byte(token))
		var good bool // from the mailer's commit on, which comes after the file
		return db.QueryRow("SELECT TRUE FROM mail_tokens WHERE hash = ?", hash[:]).Scan(&good)
	})
	if token == "" {
		t.Fatal("the mail has no token")
	}
	return token
}

// findToken finds the line that is nothing but a token; quoted-printable leaves it alone.
func findToken(mail string) string {
	for line := range strings.Lines(mail) {
		if line = strings.TrimSpace(line); len(line) == 43 && !strings.ContainsAny(line, " :") {
			return line
		}
	}
	return ""
}
