package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"pgo/pkg/mysql"
)

// sweepUntil is the time until which rows may still be added to a class that is deleted now: no request takes longer.
const sweepUntil = "UTC_TIMESTAMP(6) + INTERVAL 2 MINUTE"

const sweepBatch = 500 // rows in one statement

// Sweep deletes the tasks, assignments, submissions and members of deleted classes, which can no longer be reached. It uses
// small transactions, so that nothing else waits for it.
func (s *Store) Sweep(ctx context.Context) error {
	var classes []string
	db := s.db.WithContext(ctx)
	if err := db.Model(&classRow{}).Where("sweep_until IS NOT NULL").Order("sweep_until").Pluck("id", &classes).Error; err != nil {
		return mysql.Wrap(err, "find deleted classes")
	}
	for _, class := range classes {
		if err := s.sweepClass(ctx, class); err != nil {
			return fmt.Errorf("sweep class %s: %w", class, err)
		}
		err := db.Exec("UPDATE view_classes SET sweep_until = NULL WHERE id = ? AND sweep_until < UTC_TIMESTAMP(6)", class).Error
		if err != nil {
			return mysql.Wrap(err, "end the sweep of a class")
		}
	}
	return nil
}

func (s *Store) sweepClass(ctx context.Context, class string) error {
	for {
		var tasks []string
		if err := s.db.WithContext(ctx).Model(&taskRow{}).Where("class_id = ?", class).Order("id").Limit(sweepBatch).Pluck("id", &tasks).Error; err != nil {
			return mysql.Wrap(err, "find tasks")
		}
		for _, id := range tasks {
			if err := s.sweepTask(ctx, id); err != nil {
				return err
			}
		}
		if len(tasks) == 0 {
			return s.deleteInBatches(ctx, &classMemberRow{}, "class_id = ?", class)
		}
	}
}

// sweepTask deletes assignments before submissions, since the holder of an assignment's lock may be adding a submission.
func (s *Store) sweepTask(ctx context.Context, id string) error {
	for _, row := range []any{&fanOutRow{}, &assignmentRow{}, &submissionRow{}, &handInRow{}} {
		if err := s.deleteInBatches(ctx, row, "task_id = ?", id); err != nil {
			return err
		}
	}
	return s.deleteInBatches(ctx, &taskRow{}, "id = ?", id)
}

func (s *Store) deleteInBatches(ctx context.Context, row any, where, id string) error {
	for {
		var n int64
		err := mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
			res := tx.Where(where, id).Limit(sweepBatch).Delete(row)
			n = res.RowsAffected
			return res.Error
		})
		if err != nil {
			return fmt.Errorf("delete rows of %s: %w", id, err)
		}
		if n < sweepBatch {
			return nil
		}
	}
}
