package user

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Mail is a message to one person.
type Mail struct {
	ID      string // the id of the event that requested the mail; delivering the same id again replaces the mail
	To      string
	Name    string // "" unless the address is verified
	Subject string
	Text    string
	Date    time.Time
}

// ErrMailRefused reports that a mail can never be delivered, so that trying again is useless.
var ErrMailRefused = errors.New("mail refused")

// MailSender delivers mails.
type MailSender interface {
	// Deliver delivers a mail. A second call with the same ID sends a mail with the same Message-ID. It returns an error that
	// wraps ErrMailRefused if the mail can never be delivered.
	Deliver(ctx context.Context, m Mail) error
}

// MailStore records which mail requests were handled. No transaction is open while a mail is delivered.
type MailStore interface {
	// PrepareMail stores the token, if there is one, and returns the user to write to. It returns false if the event was
	// handled before or the user is no more.
	PrepareMail(ctx context.Context, eventID, userID string, token *MailToken) (User, bool, error)
	// CompleteMail records that the event was handled and that no mail for the purpose is pending any more.
	CompleteMail(ctx context.Context, eventID, userID, purpose string) error
}

// MailToken is a token in a mail, valid for one use until it expires.
type MailToken struct {
	Hash      Hash
	UserID    string
	Purpose   string
	ExpiresAt time.Time
}

// MaxMailsPerHour is how many mails for one purpose an account gets in an hour. More requests are ignored, as is one while an
// earlier mail for the same purpose has not been sent.
const MaxMailsPerHour = 3

// Mailer sends the mails that events request. It is safe for concurrent use.
type Mailer struct {
	Store   MailStore
	Sender  MailSender
	BaseURL string // URL of the API as the reader of the mail reaches it
	Now     func() time.Time
}

// Send handles a user.mail_requested.v1 event, however often it is delivered. It sends one mail, and a second one only if the
// process ends between the delivery and its record. It ignores purposes that it does not know.
func (m *Mailer) Send(ctx context.Context, eventID string, req MailRequestedData) error {
	kind, ok := mailKinds[req.Purpose]
	if !ok {
		return nil
	}
	now := m.Now()
	var secret string
	var token *MailToken
	if kind.lifetime > 0 {
		var hash Hash
		secret, hash = newToken()
		token = &MailToken{Hash: hash, UserID: req.UserID, Purpose: req.Purpose, ExpiresAt: now.Add(kind.lifetime)}
	}
	u, isDue, err := m.Store.PrepareMail(ctx, eventID, req.UserID, token)
	if err != nil || !isDue {
		return err
	}
	mail := Mail{ID: eventID, To: u.Email, Date: now}
	if u.EmailVerified {
		mail.Name = u.Name
	}
	mail.Subject, mail.Text = kind.write(u, m.BaseURL, secret, now)
	if err := m.Sender.Deliver(ctx, mail); err != nil {
		return fmt.Errorf("deliver %s mail: %w", req.Purpose, err)
	}
	return m.Store.CompleteMail(ctx, eventID, u.ID, req.Purpose)
}
