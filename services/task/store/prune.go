package store

import (
	"context"
	"time"

	"pgo/pkg/inbox"
)

const keepHandled = 30 * 24 * time.Hour // longer than dead letters are kept for replay

// Prune deletes old entries of a consumer's inbox.
func (s *Store) Prune(ctx context.Context, consumer string) error {
	pool, err := s.db.DB()
	if err != nil {
		return err
	}
	_, err = inbox.Prune(ctx, pool, consumer, keepHandled)
	return err
}
