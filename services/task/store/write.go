package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"pgo/pkg/mysql"
	"pgo/services/task"
)

// Create implements task.Writer.
func (s *Store) Create(ctx context.Context, t task.Task) error {
	row := rowOf(t, 0)
	return mysql.Classify(s.db.WithContext(ctx).Create(&row).Error)
}

// Change implements task.Writer.
func (s *Store) Change(ctx context.Context, taskID string, fn func(*task.Draft) error) (task.Task, error) {
	var d *task.Draft
	err := mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		row, err := lockTask(tx, taskID)
		if err != nil {
			return err
		}
		d = &task.Draft{Task: row.task()}
		if err := fn(d); err != nil {
			return err
		}
		if d.Deleted() {
			// A draft has neither assignments nor events.
			return mysql.Found(tx.Where("id = ?", taskID).Delete(&taskRow{}).Error, "delete task")
		}
		if d.Published() {
			if err := startFanOut(tx, taskID, d.ClassID); err != nil {
				return err
			}
		}
		sequence, err := s.appendEvents(ctx, tx, taskID, row.Sequence, d.Events())
		if err != nil || !d.Changed() {
			return err
		}
		return saveTask(tx, rowOf(d.Task, sequence))
	})
	if err != nil {
		return task.Task{}, err
	}
	if len(d.Events()) > 0 {
		s.appended()
	}
	return d.Task, nil
}

// ChangeWork implements task.Writer.
func (s *Store) ChangeWork(ctx context.Context, taskID, userID string, fn func(*task.Work) error) (task.Submission, error) {
	var w *task.Work
	err := mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		var a assignmentRow
		if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&a, "task_id = ? AND user_id = ?", taskID, userID).Error; err != nil {
			return mysql.Found(err, "lock assignment")
		}
		t, err := lockTask(tx, taskID)
		if err != nil {
			return err
		}
		w = &task.Work{Task: t.task(), Submission: task.Submission{TaskID: taskID, UserID: userID}}
		if a.Version > 0 {
			var sub submissionRow
			if err := tx.Take(&sub, "task_id = ? AND user_id = ?", taskID, userID).Error; err != nil {
				return fmt.Errorf("read submission: %w", err)
			}
			w.Submission = a.submission(sub)
		}
		if err := fn(w); err != nil || !w.Changed() {
			return err
		}
		sequence, err := s.appendEvents(ctx, tx, taskID, t.Sequence, w.Events())
		if err != nil {
			return err
		}
		if err := saveWork(tx, a, w.Submission); err != nil {
			return err
		}
		return saveTask(tx, rowOf(w.Task, sequence))
	})
	if err != nil {
		return task.Submission{}, err
	}
	if len(w.Events()) > 0 {
		s.appended()
	}
	return w.Submission, nil
}

// saveWork writes both rows of a submission.
func saveWork(tx *gorm.DB, a assignmentRow, sub task.Submission) error {
	a.Status, a.Late, a.Score, a.Version, a.SubmittedAt, a.GradedAt = sub.Status, sub.Late, sub.Score, sub.Version, sub.SubmittedAt, sub.GradedAt
	if a.Status == task.WorkDraft {
		a.Status = task.WorkAssigned
	}
	row := submissionRow{TaskID: sub.TaskID, UserID: sub.UserID, Content: sub.Content, Feedback: sub.Feedback, UpdatedAt: sub.UpdatedAt}
	if err := tx.Clauses(clause.OnConflict{DoUpdates: clause.AssignmentColumns([]string{"content", "feedback", "updated_at"})}).Create(&row).Error; err != nil {
		return fmt.Errorf("save submission: %w", err)
	}
	return mysql.OneRow(tx.Model(&a).Where("task_id = ? AND user_id = ?", a.TaskID, a.UserID).Select("status", "late", "score", "version", "submitted_at", "graded_at").Updates(&a), "update assignment")
}

func lockTask(tx *gorm.DB, id string) (taskRow, error) {
	var row taskRow
	err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&row, "id = ?", id).Error
	return row, mysql.Found(err, "lock task")
}

func saveTask(tx *gorm.DB, row taskRow) error {
	return mysql.OneRow(tx.Model(&row).Where("id = ?", row.ID).Select("*").Omit("id", "class_id", "created_by", "created_at").Updates(&row), "update task")
}

// addAssigned adds n to the count of each task's assignments. It comes last in a transaction: whoever hands in next
// needs these rows.
func addAssigned(tx *gorm.DB, n int, taskIDs ...string) error {
	for _, id := range taskIDs { // in the order in which everyone locks them
		err := mysql.OneRow(tx.Exec("UPDATE tasks SET assigned_count = assigned_count + ?, version = version + 1 WHERE id = ?", n, id), "update count of assignments")
		if err != nil {
			return err
		}
	}
	return nil
}

// assign makes assignments, which must not be there yet.
func assign(tx *gorm.DB, rows []assignmentRow) error {
	if len(rows) == 0 {
		return nil
	}
	if err := tx.Create(&rows).Error; err != nil {
		return fmt.Errorf("make assignments: %w", err)
	}
	return nil
}

func newAssignment(taskID, userID, classID string, now time.Time) assignmentRow {
	return assignmentRow{TaskID: taskID, UserID: userID, ClassID: classID, Status: task.WorkAssigned, AssignedAt: now}
}
