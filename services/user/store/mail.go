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

// SendOnce implements user.MailStore.
func (s *Store) SendOnce(ctx context.Context, eventID string, t user.MailToken, send func(user.User) error) error {
	return mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		first, err := inbox.RecordOnce(ctx, tx.Statement.ConnPool, MailConsumer, eventID)
		if err != nil || !first {
			return err
		}
		u, err := lockUser(tx, t.UserID)
		if errors.Is(err, problem.NotFound()) {
			return nil
		} else if err != nil {
			return err
		}
		row := mailTokenRow{Hash: t.Hash[:], UserID: t.UserID, Purpose: t.Purpose, ExpiresAt: t.ExpiresAt}
		if err := tx.Create(&row).Error; err != nil {
			return fmt.Errorf("insert mail token: %w", err)
		}
		return send(u.toUser())
	})
}
