package main

import (
	"os"
	"path/filepath"
	"testing"

	"pgo/services/user/mail"
)

// TestSMTPByDeploymentVariables sets the server by the variables that process files pass on, of which some are empty.
func TestSMTPByDeploymentVariables(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if err := os.Mkdir(filepath.Join(dir, "env"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("base.yaml", "")
	write("env/test.yaml", "")
	write("user.yaml", "mail:\n  from: file@example.org\n  smtp:\n    addr: file.example.org:587\n    username: file\n")
	environ := []string{
		"PGO_CONFIG_DIR=" + dir, "PGO_ENV=test", "PGO_CFG_AUTH__SIGNING_KEY_FILE=" + write("key.pem", signingKey(t)), "PGO_CFG_MYSQL__PASSWORD=pw", "PGO_CFG_REDIS__PASSWORD=pw", "PGO_CFG_RABBITMQ__PASSWORD=pw",
		"PGO_CFG_MYSQL__ADDR=127.0.0.1:3306", "PGO_CFG_REDIS__ADDR=127.0.0.1:6379", "PGO_CFG_RABBITMQ__ADDR=127.0.0.1:5672",
	}
	password := write("password", "the mail password\n")
	for _, tc := range []struct {
		name    string
		environ []string
		from    string
		want    SMTP
	}{
		{"empty variables", []string{"PGO_SMTP_ADDR=", "PGO_SMTP_TLS=", "PGO_SMTP_USERNAME=", "PGO_MAIL_FROM=", "PGO_SMTP_CA_FILE=", "PGO_SMTP_PASSWORD_FILE=" + password},
			"file@example.org", SMTP{Addr: "file.example.org:587", TLS: mail.TLSStart, Username: "file", Password: "the mail password"}},
		{"all variables", []string{"PGO_SMTP_ADDR=smtp.example.org:465", "PGO_SMTP_TLS=implicit", "PGO_SMTP_USERNAME=pgo", "PGO_MAIL_FROM=school@example.org", "PGO_SMTP_PASSWORD_FILE=" + password},
			"school@example.org", SMTP{Addr: "smtp.example.org:465", TLS: mail.TLSImplicit, Username: "pgo", Password: "the mail password"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, err := load(append(environ[:len(environ):len(environ)], tc.environ...))
			if err != nil {
				t.Fatal(err)
			}
			tc.want.Timeout = cfg.Mail.SMTP.Timeout
			if cfg.Mail.SMTP != tc.want || cfg.Mail.From != tc.from {
				t.Errorf("got %+v from %s, want %+v from %s", cfg.Mail.SMTP, cfg.Mail.From, tc.want, tc.from)
			}
		})
	}
	if _, err := load(append(environ, "PGO_SMTP_USERNAME=pgo")); err == nil {
		t.Error("a username without a password is accepted")
	}
}
