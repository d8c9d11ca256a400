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

// passwordNames returns the names of the secrets that are random passwords, one file each.
func passwordNames() []string {
	names := []string{"mysql_admin_password", "redis_admin_password", "rabbitmq_admin_password", AdminPassword, "erlang_cookie",
		"monitor_mysql_password", "monitor_redis_password", "grafana_password"}
	for _, s := range Services() {
		names = append(names, s.passwordNames()...)
	}
	return names
}

// AdminPassword is the name of the secret with the first admin's password.
const AdminPassword = "admin_password"

const signingKey = "user_signing_key.pem"

// MakeSecrets creates the missing secret files and returns their names. It leaves the content of existing files alone and closes
// them to other users.
func (co Checkout) MakeSecrets() ([]string, error) {
	if err := co.MakeHome(); err != nil {
		return nil, err
	}
	var created []string
	for _, name := range append(passwordNames(), signingKey) {
		path := co.Path("secrets", name)
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			if err := os.Chmod(path, 0o600); err != nil {
				return created, fmt.Errorf("close a secret to other users: %w", err)
			}
			continue
		}
		content, err := newSecret(name)
		if err != nil {
			return created, fmt.Errorf("create the secret %s: %w", name, err)
		}
		if err := renameio.WriteFile(path, content, 0o600, renameio.IgnoreUmask()); err != nil {
			return created, fmt.Errorf("write the secret %s: %w", name, err)
		}
		created = append(created, name)
	}
	return created, nil
}

// ReadSecret returns the content of a secret file without line breaks at its end, which an editor may have added.
func (co Checkout) ReadSecret(name string) (string, error) {
	content, err := os.ReadFile(co.Path("secrets", name))
	if err != nil {
		return "", fmt.Errorf("read a secret (make secrets creates it): %w", err)
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
