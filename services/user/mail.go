package user

import (
	"context"
	"fmt"
	"time"
)

// Mail is a message to one person.
type Mail struct {
	ID      string // the id of the event that requested the mail; delivering the same id again replaces the mail
	To      string
	Name    string
	Subject string
	Text    string
	Date    time.Time
}

// MailSender delivers mails.
type MailSender interface {
	// Deliver delivers a mail. A second call with the same ID must not result in a second mail.
	Deliver(ctx context.Context, m Mail) error
}

// MailStore records which mail requests were handled.
type MailStore interface {
	// SendOnce calls send in a transaction that stores the token's hash for the user, unless the event was
	// handled before or the user is no more; then it does nothing.
	SendOnce(ctx context.Context, eventID string, t MailToken, send func(User) error) error
}

// MailToken is a token in a mail, valid for one use until it expires.
type MailToken struct {
	Hash      Hash
	UserID    string
	Purpose   string
	ExpiresAt time.Time
}

// Lifetimes of the tokens in mails.
const (
	verifyTTL = 48 * time.Hour
	resetTTL  = time.Hour
)

// Mailer sends the mails that events request. It is safe for concurrent use.
type Mailer struct {
	Store   MailStore
	Sender  MailSender
	BaseURL string // URL of the API as the reader of the mail reaches it
	Now     func() time.Time
}

// Send handles a user.mail_requested.v1 event once, however often it is delivered. It ignores purposes that it does not
// know.
func (m *Mailer) Send(ctx context.Context, eventID string, req MailRequestedData) error {
	var subject, text string
	var ttl time.Duration
	switch req.Purpose {
	case PurposeVerify:
		subject, ttl = "Confirm your e-mail address", verifyTTL
		text = "to confirm your e-mail address, send this token to POST %s/api/v1/auth/email/verify within 48 hours:"
	case PurposeReset:
		subject, ttl = "Reset your password", resetTTL
		text = "to set a new password, send this token with it to POST %s/api/v1/auth/password/reset within one hour:"
	default:
		return nil
	}
	token, hash := newToken()
	now := m.Now()
	return m.Store.SendOnce(ctx, eventID, MailToken{Hash: hash, UserID: req.UserID, Purpose: req.Purpose, ExpiresAt: now.Add(ttl)}, func(u User) error {
		err := m.Sender.Deliver(ctx, Mail{
			ID: eventID, To: u.Email, Name: u.Name, Subject: subject, Date: now,
			Text: fmt.Sprintf("Hello %s,\n\n"+text+"\n\n%s\n\nIf you did not ask for this, ignore this mail.\n", u.Name, m.BaseURL, token),
		})
		if err != nil {
			return fmt.Errorf("deliver %s mail: %w", req.Purpose, err)
		}
		return nil
	})
}
