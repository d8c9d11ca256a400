package checkout

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"strings"

	"github.com/google/renameio/v2"
)

// passwordNames are the secrets that are random words; each is a file of its own.
func passwordNames() []string {
	names := []string{"mysql_admin_password", "redis_admin_password", "rabbitmq_admin_password", AdminPassword, "erlang_cookie",
		"monitor_mysql_password", "monitor_redis_password", "grafana_password"}
	for _, s := range Services() {
		names = append(names, s.passwordNames()...)
	}
	return names
}

// AdminPassword is the secret with which the first admin of the suite signs in.
const AdminPassword = "admin_password"

const signingKey = "user_signing_key.pem"

// MakeSecrets makes the secret files that are missing and returns their names. What is there stays as it is, except
// that it is closed to others.
func (co Checkout) MakeSecrets() ([]string, error) {
	if err := co.MakeHome(); err != nil {
		return nil, err
	}
	var made []string
	for _, name := range append(passwordNames(), signingKey) {
		path := co.Path("secrets", name)
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			if err := os.Chmod(path, 0o600); err != nil {
				return made, fmt.Errorf("close a secret to others: %w", err)
			}
			continue
		}
		content, err := newSecret(name)
		if err != nil {
			return made, fmt.Errorf("make the secret %s: %w", name, err)
		}
		if err := renameio.WriteFile(path, content, 0o600, renameio.IgnoreUmask()); err != nil {
			return made, fmt.Errorf("write the secret %s: %w", name, err)
		}
		made = append(made, name)
	}
	return made, nil
}

// ReadSecret reads a secret file; a line break at its end, which an editor may have left, is not part of it.
func (co Checkout) ReadSecret(name string) (string, error) {
	content, err := os.ReadFile(co.Path("secrets", name))
	if err != nil {
		return "", fmt.Errorf("read a secret (make secrets makes it): %w", err)
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}

func newSecret(name string) ([]byte, error) {
	if name != signingKey {
		b := make([]byte, 32)
		rand.Read(b)
		return []byte(base64.RawURLEncoding.EncodeToString(b)), nil
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
