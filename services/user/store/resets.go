package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"pgo/pkg/mysql"
	"pgo/pkg/problem"
	"pgo/pkg/tracing"
	"pgo/services/user"
)

const resetBatch = 100

// resetRequestRow is a row of the table reset_requests. It is deleted when it is handled.
type resetRequestRow struct {
	ID          uint64
	Email       string
	RequestedAt time.Time
}

func (resetRequestRow) TableName() string { return "reset_requests" }

// AddResetRequest implements user.ResetStore.
func (s *Store) AddResetRequest(ctx context.Context, forms ...string) error {
	for _, email := range forms {
		err := s.db.WithContext(ctx).Exec("INSERT INTO reset_requests (email, requested_at) VALUES (?, NOW(6))", email).Error
		if err != nil {
			return mysql.Wrap(err, "insert reset request")
		}
	}
	return nil
}

// HandleResetRequests implements user.ResetStore. Of two processes that take the same request, the second finds it deleted.
func (s *Store) HandleResetRequests(ctx context.Context, fn func(*user.Account) error) error {
	var due []resetRequestRow
	if err := s.db.WithContext(ctx).Order("id").Limit(resetBatch).Find(&due).Error; err != nil {
		return fmt.Errorf("read reset requests: %w", err)
	}
	for _, r := range due {
		if err := s.handleResetRequest(ctx, r, fn); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) handleResetRequest(ctx context.Context, r resetRequestRow, fn func(*user.Account) error) error {
	ctx = tracing.EnsureTraceID(ctx)
	var hasEvents bool
	err := mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		hasEvents = false
		deleted := tx.Where("id = ?", r.ID).Delete(&resetRequestRow{})
		if deleted.Error != nil {
			return fmt.Errorf("delete reset request: %w", deleted.Error)
		}
		if deleted.RowsAffected == 0 {
			return nil
		}
		var row userRow
		err := mysql.WrapNotFound(tx.Take(&row, "email = ?", r.Email).Error, "find account")
		if errors.Is(err, problem.NotFound()) {
			return nil
		} else if err != nil {
			return err
		}
		a, _, err := s.changeLocked(ctx, tx, row.ID, fn)
		if errors.Is(err, problem.NotFound()) {
			return nil
		} else if err != nil {
			return err
		}
		hasEvents = len(a.Events()) > 0
		return nil
	})
	if err == nil && hasEvents {
		s.notifyAppended()
	}
	return err
}
