package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"

	"pgo/services/user"
)

// Kinds of TLS to an SMTP server.
const (
	TLSStart    = "starttls" // begin in clear text and require STARTTLS, usually on port 587
	TLSImplicit = "implicit" // begin with TLS, usually on port 465
	TLSNone     = "none"     // a server on the same machine
)

// SMTP delivers mails to an SMTP server, over a connection for each mail. It implements user.MailSender.
type SMTP struct {
	Addr     string // host and port
	TLS      string // one of the kinds of TLS
	Username string // "" for no authentication
	Password string
	From     string
	Timeout  time.Duration // of one delivery
	Config   *tls.Config   // nil for the system's authorities
}

// Deliver implements user.MailSender. It returns an error that wraps user.ErrMailRefused if the server will never take the mail.
func (s SMTP) Deliver(ctx context.Context, m user.Mail) error {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	message, err := s.newMessage(m)
	if err != nil {
		return fmt.Errorf("%w: %w", user.ErrMailRefused, err)
	}
	client, err := s.newClient()
	if err != nil {
		return err
	}
	if err := client.DialAndSendWithContext(ctx, message); err != nil {
		// The server's answer can contain the address, which must not be in a log.
		if failed, ok := errors.AsType[*gomail.SendError](err); ok {
			if !failed.IsTemp() && failed.ErrorCode() >= 500 {
				return fmt.Errorf("%w: the server at %s answered %d", user.ErrMailRefused, s.Addr, failed.ErrorCode())
			}
			return fmt.Errorf("send mail by %s: the server answered %d", s.Addr, failed.ErrorCode())
		}
		return fmt.Errorf("send mail by %s: %w", s.Addr, err)
	}
	return nil
}

func (s SMTP) newMessage(m user.Mail) (*gomail.Msg, error) {
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := message.FromFormat("pgo", s.From); err != nil {
		return nil, errors.New("the sender is not an address that mail can be sent from")
	}
	message.AddToMailAddress(&netmail.Address{Name: m.Name, Address: m.To})
	message.Subject(m.Subject)
	message.SetDateWithValue(m.Date)
	message.SetMessageIDWithValue(m.ID + "@pgo")
	message.SetBodyString(gomail.TypeTextPlain, m.Text)
	return message, nil
}

func (s SMTP) newClient() (*gomail.Client, error) {
	host, portText, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return nil, fmt.Errorf("read mail.smtp.addr: %w", err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("read the port of mail.smtp.addr: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.Config != nil {
		config = s.Config.Clone()
	}
	config.ServerName = host
	options := []gomail.Option{gomail.WithPort(port), gomail.WithTimeout(s.Timeout), gomail.WithTLSConfig(config), gomail.WithoutNoop()}
	switch s.TLS {
	case TLSImplicit:
		options = append(options, gomail.WithSSL())
	case TLSNone:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.Username != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.Username), gomail.WithPassword(s.Password))
	}
	client, err := gomail.NewClient(host, options...)
	if err != nil {
		return nil, fmt.Errorf("prepare a client of %s: %w", s.Addr, err)
	}
	return client, nil
}
