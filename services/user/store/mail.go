package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"pgo/pkg/inbox"
	"pgo/pkg/mysql"
	"pgo/pkg/problem"
	"pgo/services/user"
)

// MailConsumer is the name under which the inbox records the mailer's events.
const MailConsumer = "user.mailer"

// mailTokenRow is a row of the table mail_tokens.
type mailTokenRow struct {
	Hash      []byte `gorm:"primaryKey"`
	UserID    string
	Purpose   string
	ExpiresAt time.Time
}

func (mailTokenRow) TableName() string { return "mail_tokens" }

// mailRequestRow is a row of the table mail_requests. It is pending until it is sent.
type mailRequestRow struct {
	ID          uint64
	UserID      string
	Purpose     string
	RequestedAt time.Time
	SentAt      *time.Time
}

func (mailRequestRow) TableName() string { return "mail_requests" }

// findMailToken returns the row of a token that can be redeemed, or user.ErrTokenExpired.
func findMailToken(tx *gorm.DB, purpose string, token user.Hash) (mailTokenRow, error) {
	var t mailTokenRow
	err := tx.Take(&t, "hash = ? AND purpose = ? AND expires_at > NOW(6)", token[:], purpose).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return t, user.ErrTokenExpired
	}
	if err != nil {
		return t, fmt.Errorf("read mail token: %w", err)
	}
	return t, nil
}

// admitMail records a request for a mail to the user, whose row is locked. It returns false if a mail for the purpose is
// pending or the account has got as many as it may in an hour.
func admitMail(tx *gorm.DB, userID, purpose string) (bool, error) {
	var recent []mailRequestRow
	err := tx.Where("user_id = ? AND purpose = ? AND requested_at > NOW(6) - INTERVAL 1 HOUR", userID, purpose).Limit(user.MaxMailsPerHour).Find(&recent).Error
	if err != nil {
		return false, fmt.Errorf("count mail requests: %w", err)
	}
	for _, r := range recent {
		if r.SentAt == nil {
			return false, nil
		}
	}
	if len(recent) >= user.MaxMailsPerHour {
		return false, nil
	}
	err = tx.Exec("INSERT INTO mail_requests (user_id, purpose, requested_at) VALUES (?, ?, NOW(6))", userID, purpose).Error
	if err != nil {
		return false, fmt.Errorf("insert mail request: %w", err)
	}
	return true, nil
}

// PrepareMail implements user.MailStore.
func (s *Store) PrepareMail(ctx context.Context, eventID, userID string, token *user.MailToken) (u user.User, isDue bool, err error) {
	err = mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		u, isDue = user.User{}, false
		var handled int64
		if err := tx.Table("pgo_inbox").Where("consumer = ? AND event_id = ?", MailConsumer, eventID).Count(&handled).Error; err != nil {
			return fmt.Errorf("look for a handled mail request: %w", err)
		}
		row, err := lockUser(tx, userID)
		if handled > 0 || errors.Is(err, problem.NotFound()) {
			_, err := inbox.RecordOnce(ctx, tx.Statement.ConnPool, MailConsumer, eventID)
			return err
		} else if err != nil {
			return err
		}
		u, isDue = row.toUser(), true
		if token == nil {
			return nil
		}
		t := mailTokenRow{Hash: token.Hash[:], UserID: token.UserID, Purpose: token.Purpose, ExpiresAt: token.ExpiresAt}
		if err := tx.Create(&t).Error; err != nil {
			return fmt.Errorf("insert mail token: %w", err)
		}
		return nil
	})
	return u, isDue && err == nil, err
}

// CompleteMail implements user.MailStore.
func (s *Store) CompleteMail(ctx context.Context, eventID, userID, purpose string) error {
	return mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		if err := tx.Exec("UPDATE mail_requests SET sent_at = NOW(6) WHERE user_id = ? AND purpose = ? AND sent_at IS NULL", userID, purpose).Error; err != nil {
			return fmt.Errorf("complete mail request: %w", err)
		}
		_, err := inbox.RecordOnce(ctx, tx.Statement.ConnPool, MailConsumer, eventID)
		return err
	})
}
