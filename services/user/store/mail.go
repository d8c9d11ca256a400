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
