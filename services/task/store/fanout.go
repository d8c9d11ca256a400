package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"pgo/pkg/mysql"
	"pgo/services/task"
)

const (
	fanOutBatch      = 500              // assignments in one transaction
	fanOutCandidates = 16               // tasks that one query returns
	fanOutPause      = 10 * time.Second // before a failed task is tried again
)

// fanOutRow is a row of the table fanouts: a published task that not all students of its class have yet.
type fanOutRow struct {
	TaskID    string
	ClassID   string
	AfterUser string // the last student who was handled
	NextAt    time.Time
}

func (fanOutRow) TableName() string { return "fanouts" }

// startFanOut starts the fan-out of a task, or restarts it from the first student.
func startFanOut(tx *gorm.DB, taskID, classID string) error {
	err := tx.Exec(`INSERT INTO fanouts (task_id, class_id, after_user, next_at) VALUES (?, ?, '', UTC_TIMESTAMP(6))
		ON DUPLICATE KEY UPDATE after_user = '', next_at = VALUES(next_at)`, taskID, classID).Error
	if err != nil {
		return fmt.Errorf("start fan-out: %w", err)
	}
	return nil
}

// FanOutBatch implements task.FanOutStore. Each batch moves its task to the end of the queue, so that a small class does
// not wait for a large one.
func (s *Store) FanOutBatch(ctx context.Context) (bool, error) {
	var ids []string
	err := s.db.WithContext(ctx).Model(&fanOutRow{}).Where("next_at <= UTC_TIMESTAMP(6)").Order("next_at").Limit(fanOutCandidates).Pluck("task_id", &ids).Error
	if err != nil {
		return false, mysql.Wrap(err, "find fan-outs")
	}
	var errs error
	for _, id := range ids {
		claimed := false
		err := mysql.InTx(ctx, s.db, func(tx *gorm.DB) (err error) {
			claimed, err = fanOutTask(tx, id)
			return err
		})
		if err != nil {
			// A task that fails does not hold up the others.
			errs = errors.Join(errs, fmt.Errorf("task %s: %w", id, err), s.postponeFanOut(ctx, id))
			continue
		}
		if claimed {
			return true, errs
		}
	}
	return false, errs
}

func (s *Store) postponeFanOut(ctx context.Context, taskID string) error {
	return mysql.Wrap(s.db.WithContext(ctx).Model(&fanOutRow{}).Where("task_id = ?", taskID).Update("next_at", time.Now().UTC().Add(fanOutPause)).Error, "postpone fan-out")
}

// fanOutTask creates a batch of one task's assignments, gives back those that were withdrawn from students who are in the class
// again, and reports false if another transaction has claimed the task. The
// handlers of membership changes take the class's lock too, so every student gets the task either here or there.
func fanOutTask(tx *gorm.DB, taskID string) (bool, error) {
	var f fanOutRow
	err := tx.Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"}).Take(&f, "task_id = ?", taskID).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("claim fan-out: %w", err)
	}
	class, err := lockClass(tx, f.ClassID)
	if err != nil {
		return false, err
	}
	if class.Deleted {
		return true, endFanOut(tx, taskID)
	}
	var users []string // the first read without a lock: its snapshot includes all that was committed before the class's lock
	err = tx.Model(&classMemberRow{}).Where("class_id = ? AND removed = ? AND role = ? AND user_id > ?", f.ClassID, false, task.RoleStudent, f.AfterUser).
		Order("user_id").Limit(fanOutBatch).Pluck("user_id", &users).Error
	if err != nil {
		return false, fmt.Errorf("read students: %w", err)
	}
	if len(users) == 0 {
		return true, endFanOut(tx, taskID)
	}
	last := users[len(users)-1]
	var have []string
	err = tx.Model(&assignmentRow{}).Where("task_id = ? AND user_id > ? AND user_id <= ?", taskID, f.AfterUser, last).Order("user_id").Pluck("user_id", &have).Error
	if err != nil {
		return false, fmt.Errorf("read assignments: %w", err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	var rows []assignmentRow
	for _, u := range users {
		if _, has := slices.BinarySearch(have, u); !has {
			rows = append(rows, newAssignment(taskID, u, f.ClassID, now))
		}
	}
	if err := insertAssignments(tx, rows); err != nil {
		return false, err
	}
	restored := tx.Exec("UPDATE assignments SET withdrawn = FALSE WHERE task_id = ? AND user_id IN ? AND withdrawn = TRUE", taskID, users)
	if restored.Error != nil {
		return false, fmt.Errorf("give back withdrawn assignments: %w", restored.Error)
	}
	added := len(rows) + int(restored.RowsAffected)
	if len(users) < fanOutBatch {
		err = endFanOut(tx, taskID)
	} else {
		err = mysql.RequireOneRow(tx.Exec("UPDATE fanouts SET after_user = ?, next_at = UTC_TIMESTAMP(6) WHERE task_id = ?", last, taskID), "update fan-out")
	}
	if err != nil || added == 0 {
		return true, err
	}
	return true, addToAssignedCounts(tx, added, taskID)
}

func endFanOut(tx *gorm.DB, taskID string) error {
	if err := tx.Where("task_id = ?", taskID).Delete(&fanOutRow{}).Error; err != nil {
		return fmt.Errorf("end fan-out: %w", err)
	}
	return nil
}
