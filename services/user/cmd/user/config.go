package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"pgo/pkg/auth"
	"pgo/pkg/config"
	"pgo/pkg/service"
	"pgo/services/user"
	"pgo/services/user/mail"
	"pgo/services/user/throttle"
	"pgo/services/user/token"
)

// name is the service's, and begins the names of its accounts, queues and keys.
const name = "user"

// Config is the configuration of the User service. Log level, token lifetimes and login limits take effect when the
// configuration is reloaded, the rest at the next start.
type Config struct {
	service.Config `config:",squash"`

	Auth  Auth            `config:"auth"`
	Login throttle.Limits `config:"login"`
	Mail  Mail            `config:"mail"`
}

// Auth sets how tokens are made.
type Auth struct {
	Issuer     string        `config:"issuer"`
	Audience   string        `config:"audience"`
	SigningKey config.Secret `config:"signing_key"` // Ed25519 keys as PKCS#8 PEM; the first signs, all verify
	AccessTTL  time.Duration `config:"access_ttl"`
	RefreshTTL time.Duration `config:"refresh_ttl"`
	// RefreshGrace is how long the same client gets the same tokens again when it repeats a refresh.
	RefreshGrace time.Duration `config:"refresh_grace"`
}

// Mail sets how mails are delivered: by an SMTP server, or to files if none is set.
type Mail struct {
	SMTP    SMTP   `config:"smtp"`
	Dir     string `config:"dir"` // without an SMTP server, each mail becomes a file there
	From    string `config:"from"`
	BaseURL string `config:"base_url"` // of the API, as the reader of a mail reaches it
}

// SMTP sets the server that mails leave by.
type SMTP struct {
	Addr     string        `config:"addr"` // host and port, "" for none
	TLS      string        `config:"tls"`  // starttls, implicit or none
	Username string        `config:"username"`
	Password config.Secret `config:"password"`
	Timeout  time.Duration `config:"timeout"` // of one delivery
	CAFile   string        `config:"ca_file"` // authorities that the server's certificate may be of, "" for the system's
}

// validate checks the section, and that a password never leaves in clear text.
func (s SMTP) validate(c *config.Check) {
	if s.Addr == "" {
		return
	}
	host, port, err := net.SplitHostPort(s.Addr)
	c.Expect(err == nil && host != "" && port != "", "mail.smtp.addr", "a host and a port such as smtp.example.org:587")
	c.Expect(slices.Contains([]string{mail.TLSStart, mail.TLSImplicit, mail.TLSNone}, s.TLS), "mail.smtp.tls", "one of starttls, implicit, none")
	c.Expect(s.TLS != mail.TLSNone || s.Username == "", "mail.smtp.tls", "starttls or implicit where a username is set")
	c.Expect(s.Timeout >= time.Second && s.Timeout <= time.Minute, "mail.smtp.timeout", "a duration from 1s to 1m")
	if s.Username != "" {
		c.ExpectSecret("mail.smtp.password", s.Password)
	}
	_, err = s.tlsConfig()
	c.Expect(err == nil, "mail.smtp.ca_file", "a readable file with certificates in PEM")
}

// tlsConfig returns the settings that trust the authorities of ca_file, nil if it is not set.
func (s SMTP) tlsConfig() (*tls.Config, error) {
	if s.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("no certificate in PEM")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// newSender returns the sender that the section sets.
func (m Mail) newSender() (user.MailSender, error) {
	if m.SMTP.Addr == "" {
		return mail.Directory{Path: m.Dir, From: m.From}, nil
	}
	trusted, err := m.SMTP.tlsConfig()
	if err != nil {
		return nil, err
	}
	return mail.SMTP{
		Addr: m.SMTP.Addr, TLS: m.SMTP.TLS, Username: m.SMTP.Username, Password: m.SMTP.Password.Reveal(), From: m.From, Timeout: m.SMTP.Timeout, Config: trusted,
	}, nil
}

// isDevelopment reports whether the environment is one in which no one waits for mails.
func isDevelopment(environ []string) bool {
	env := config.OptionsFromEnviron(name, environ).Env
	return env == "dev" || env == "test"
}

// NewConfig returns every default.
func NewConfig() Config {
	return Config{
		Config: service.Defaults(name, "127.0.0.1:8081"),
		Auth:   Auth{Issuer: "pgo", Audience: "pgo", AccessTTL: 15 * time.Minute, RefreshTTL: 30 * 24 * time.Hour, RefreshGrace: 10 * time.Second},
		Login:  throttle.Limits{Window: time.Hour, Account: 10, Free: 5, Delay: 5 * time.Second, Address: 300, Invented: 100, SignIn: 600, SignUp: 1500, Mail: 300},
		Mail:   Mail{SMTP: SMTP{TLS: mail.TLSStart, Timeout: 10 * time.Second}, Dir: ".pgo/mail", From: "pgo@localhost", BaseURL: "http://127.0.0.1:8080"},
	}
}

// Validate implements config.Validator.
func (cfg *Config) Validate(c *config.Check) {
	cfg.Config.Validate(c)
	c.ExpectSecret("auth.signing_key", cfg.Auth.SigningKey)
	_, err := token.ParseKeys([]byte(cfg.Auth.SigningKey.Reveal()))
	c.Expect(err == nil, "auth.signing_key", "one or more Ed25519 keys as PKCS#8 PEM")
	c.Expect(cfg.Auth.Issuer != "", "auth.issuer", "a name")
	c.Expect(cfg.Auth.Audience != "", "auth.audience", "a name")
	c.Expect(cfg.Auth.AccessTTL >= time.Second && cfg.Auth.AccessTTL <= auth.MaxLifetime, "auth.access_ttl", "a duration from 1s to 1h")
	c.Expect(cfg.Auth.RefreshTTL > cfg.Auth.AccessTTL, "auth.refresh_ttl", "a duration longer than auth.access_ttl")
	c.Expect(cfg.Auth.RefreshGrace >= 0 && cfg.Auth.RefreshGrace <= time.Minute, "auth.refresh_grace", "a duration from 0s to 1m")
	c.Expect(cfg.Login.Window >= time.Second, "login.window", "a duration from 1s")
	c.Expect(cfg.Login.Delay >= time.Second && cfg.Login.Delay <= time.Hour, "login.delay", "a duration from 1s to 1h")
	for key, n := range map[string]int{
		"account": cfg.Login.Account, "free": cfg.Login.Free, "address": cfg.Login.Address, "invented": cfg.Login.Invented,
		"sign_in": cfg.Login.SignIn, "sign_up": cfg.Login.SignUp, "mail": cfg.Login.Mail,
	} {
		c.Expect(n > 0, "login."+key, "a number above 0")
	}
	c.Expect(cfg.Mail.Dir != "", "mail.dir", "a directory")
	cfg.Mail.SMTP.validate(c)
	_, ok := user.NormalizeEmail(cfg.Mail.From)
	c.Expect(ok, "mail.from", "an e-mail address")
	base, err := url.Parse(cfg.Mail.BaseURL)
	c.Expect(err == nil && (base.Scheme == "http" || base.Scheme == "https") && base.Host != "", "mail.base_url", "a URL such as https://api.example.org")
}

// deploymentVariables returns the variables by which whoever starts the stack sets keys of this service, with the variables of
// these keys. They win over the configuration files. An empty one changes nothing, so that process files may pass all of them.
func deploymentVariables() map[string]string {
	return map[string]string{
		"PGO_PUBLIC_URL":         "PGO_CFG_MAIL__BASE_URL",
		"PGO_MAIL_FROM":          "PGO_CFG_MAIL__FROM",
		"PGO_SMTP_ADDR":          "PGO_CFG_MAIL__SMTP__ADDR",
		"PGO_SMTP_TLS":           "PGO_CFG_MAIL__SMTP__TLS",
		"PGO_SMTP_USERNAME":      "PGO_CFG_MAIL__SMTP__USERNAME",
		"PGO_SMTP_PASSWORD_FILE": "PGO_CFG_MAIL__SMTP__PASSWORD_FILE",
		"PGO_SMTP_CA_FILE":       "PGO_CFG_MAIL__SMTP__CA_FILE",
	}
}

func load(environ []string) (Config, error) {
	keys, all := deploymentVariables(), slices.Clip(environ)
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if key := keys[name]; key != "" && value != "" {
			all = append(all, key+"="+value)
		}
	}
	return config.Load(NewConfig(), config.OptionsFromEnviron(name, all))
}
