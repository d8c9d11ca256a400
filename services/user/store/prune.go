package store

import (
	"context"
	"fmt"
	"time"

	"pgo/pkg/inbox"
)

const (
	pruneBatch  = 1000
	keepEnded   = 24 * time.Hour      // longer than the lifetime of any access token
	keepHandled = 14 * 24 * time.Hour // longer than the delivery of any event may take
)

// Prune deletes ended and expired sessions with their refresh tokens, expired mail tokens, old mail requests and old inbox entries. It uses
// small statements, so that no table is locked for long.
func (s *Store) Prune(ctx context.Context) error {
	db := s.db.WithContext(ctx)
	before := time.Now().UTC().Add(-keepEnded)
	for _, column := range []string{"ended_at", "expires_at"} {
		for {
			var ids []string
			if err := db.Model(&sessionRow{}).Where(column+" < ?", before).Limit(pruneBatch).Pluck("id", &ids).Error; err != nil {
				return fmt.Errorf("find old sessions: %w", err)
			}
			if len(ids) == 0 {
				break
			}
			if err := db.Where("session_id IN ?", ids).Delete(&refreshTokenRow{}).Error; err != nil {
				return fmt.Errorf("delete old refresh tokens: %w", err)
			}
			if err := db.Where("id IN ?", ids).Delete(&sessionRow{}).Error; err != nil {
				return fmt.Errorf("delete old sessions: %w", err)
			}
		}
	}
	for {
		res := db.Where("expires_at < ?", before).Limit(pruneBatch).Delete(&mailTokenRow{})
		if res.Error != nil {
			return fmt.Errorf("delete old mail tokens: %w", res.Error)
		}
		if res.RowsAffected < pruneBatch {
			break
		}
	}
	for {
		res := db.Where("requested_at < ?", before).Limit(pruneBatch).Delete(&mailRequestRow{})
		if res.Error != nil {
			return fmt.Errorf("delete old mail requests: %w", res.Error)
		}
		if res.RowsAffected < pruneBatch {
			break
		}
	}
	sqlDB, err := s.db.DB()
	if err != nil {
		return err
	}
	_, err = inbox.Prune(ctx, sqlDB, MailConsumer, keepHandled)
	return err
}
