package mail_test

import (
	"crypto/tls"
	"errors"
	"net"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"pgo/services/user"
	"pgo/services/user/mail"
	"pgo/services/user/mail/mailtest"
)

func TestSMTP(t *testing.T) {
	server, trusted := mailtest.NewTLS(t)
	for _, tc := range []struct {
		name               string
		serverTLS, kind    string
		username, password string
		config             *tls.Config
		rejection          error
		isSent, isRefused  bool
	}{
		{name: "STARTTLS", serverTLS: mail.TLSStart, kind: mail.TLSStart, config: trusted, isSent: true},
		{name: "STARTTLS with a password", serverTLS: mail.TLSStart, kind: mail.TLSStart, config: trusted, username: mailtest.Username, password: mailtest.Password, isSent: true},
		{name: "implicit TLS with a password", serverTLS: mail.TLSImplicit, kind: mail.TLSImplicit, config: trusted, username: mailtest.Username, password: mailtest.Password, isSent: true},
		{name: "clear text on the same machine", serverTLS: mail.TLSNone, kind: mail.TLSNone, isSent: true},
		{name: "wrong password", serverTLS: mail.TLSStart, kind: mail.TLSStart, config: trusted, username: mailtest.Username, password: "another"},
		{name: "server without STARTTLS", serverTLS: mail.TLSNone, kind: mail.TLSStart, config: trusted, username: mailtest.Username, password: mailtest.Password},
		{name: "unknown authority", serverTLS: mail.TLSStart, kind: mail.TLSStart},
		{name: "unknown authority, implicit", serverTLS: mail.TLSImplicit, kind: mail.TLSImplicit},
		{name: "mailbox does not exist", serverTLS: mail.TLSNone, kind: mail.TLSNone, rejection: &smtp.SMTPError{Code: 550, Message: "no such mailbox ada@example.org"}, isRefused: true},
		{name: "server is busy", serverTLS: mail.TLSNone, kind: mail.TLSNone, rejection: &smtp.SMTPError{Code: 451, Message: "later, ada@example.org"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := &mailtest.Server{}
			b.Reject(tc.rejection)
			sender := mail.SMTP{
				Addr: mailtest.Start(t, b, tc.serverTLS, server), TLS: tc.kind, Username: tc.username, Password: tc.password, From: "school@example.org", Timeout: time.Minute, Config: tc.config,
			}
			err := sender.Deliver(t.Context(), newMail())
			if (err == nil) != tc.isSent || errors.Is(err, user.ErrMailRefused) != tc.isRefused {
				t.Fatalf("got %v", err)
			}
			if err != nil && (strings.Contains(err.Error(), "ada@") || strings.Contains(err.Error(), "the password")) {
				t.Errorf("the error shows the address or the password: %v", err)
			}
			if got := len(b.All()); got > 1 || (got == 1) != tc.isSent {
				t.Fatalf("%d mails arrived", got)
			}
			if tc.isSent {
				checkMail(t, b.All()[0])
			}
		})
	}
}

func newMail() user.Mail {
	return user.Mail{ID: "01a2", To: "ada@example.org", Name: "Zoë \"Q\" 李", Subject: "重置您的密码", Text: "Grüße\n" + strings.Repeat("x", 2000) + "\n", Date: time.Now()}
}

func checkMail(t *testing.T, text string) {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 1 || to[0].Address != "ada@example.org" || to[0].Name != newMail().Name || m.Header.Get("Message-ID") != "<01a2@pgo>" {
		t.Errorf("headers are %v, %v", m.Header, err)
	}
	for line := range strings.Lines(text) {
		if len(line) > 1000 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

// TestSMTPTimeout delivers to a server that accepts the connection and never answers.
func TestSMTPTimeout(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	for _, kind := range []string{mail.TLSStart, mail.TLSImplicit, mail.TLSNone} {
		t.Run(kind, func(t *testing.T) {
			sender := mail.SMTP{Addr: listener.Addr().String(), TLS: kind, From: "school@example.org", Timeout: 200 * time.Millisecond}
			if err := sender.Deliver(t.Context(), newMail()); err == nil || errors.Is(err, user.ErrMailRefused) {
				t.Errorf("got %v, want an error that is tried again", err)
			}
		})
	}
}
