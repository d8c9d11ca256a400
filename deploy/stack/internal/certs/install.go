package certs

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
)

// Install copies certbot's pair in from (fullchain.pem and privkey.pem) to dir, for the gateway. It returns an error and changes
// nothing if the key does not match or the certificate is not valid now. The files get dir's owner, also when root installs.
func Install(dir, from string, now time.Time) error {
	chain, err := os.ReadFile(filepath.Join(from, "fullchain.pem"))
	if err != nil {
		return fmt.Errorf("read the new certificate: %w", err)
	}
	key, err := os.ReadFile(filepath.Join(from, "privkey.pem"))
	if err != nil {
		return fmt.Errorf("read the new certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return fmt.Errorf("install the certificate in %s: %w", from, err)
	}
	if now.Before(pair.Leaf.NotBefore) || now.After(pair.Leaf.NotAfter) {
		return fmt.Errorf("install the certificate in %s: it is valid from %s to %s", from, pair.Leaf.NotBefore, pair.Leaf.NotAfter)
	}
	for _, file := range []struct {
		name    string
		content []byte
		mode    os.FileMode
	}{{Key, key, 0o600}, {Certificate, chain, 0o644}} {
		path := filepath.Join(dir, file.name)
		if err := renameio.WriteFile(path, file.content, file.mode, renameio.IgnoreUmask()); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		if err := chownLikeDir(path); err != nil {
			return err
		}
	}
	return nil
}
