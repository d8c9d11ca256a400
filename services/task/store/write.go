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

// CreateTask implements task.Writer.
func (s *Store) CreateTask(ctx context.Context, t task.Task) error {
	row := newTaskRow(t, 0)
	return mysql.Classify(s.db.WithContext(ctx).Create(&row).Error)
}

// ChangeTask implements task.Writer.
func (s *Store) ChangeTask(ctx context.Context, taskID string, fn func(*task.TaskChange) error) (task.Task, error) {
	var c *task.TaskChange
	err := mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		row, err := lockTask(tx, taskID)
		if err != nil {
			return err
		}
		c = &task.TaskChange{Task: row.toTask()}
		if err := fn(c); err != nil {
			return err
		}
		if c.IsDeleted() {
			// A draft has neither assignments nor events.
			return mysql.WrapNotFound(tx.Where("id = ?", taskID).Delete(&taskRow{}).Error, "delete task")
		}
		if c.IsPublished() {
			if err := startFanOut(tx, taskID, c.Task.ClassID); err != nil {
				return err
			}
		}
		sequence, err := s.appendEvents(ctx, tx, taskID, row.Sequence, c.Events())
		if err != nil || !c.IsChanged() {
			return err
		}
		return saveTask(tx, newTaskRow(c.Task, sequence))
	})
	if err != nil {
		return task.Task{}, err
	}
	if len(c.Events()) > 0 {
		s.notifyAppended()
	}
	return c.Task, nil
}

// ChangeSubmission implements task.Writer.
func (s *Store) ChangeSubmission(ctx context.Context, taskID, userID string, fn func(*task.SubmissionChange) error) (task.Submission, error) {
	var c *task.SubmissionChange
	err := mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		var a assignmentRow
		if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&a, "task_id = ? AND user_id = ?", taskID, userID).Error; err != nil {
			return mysql.WrapNotFound(err, "lock assignment")
		}
		t, err := lockTask(tx, taskID)
		if err != nil {
			return err
		}
		if c, err = newSubmissionChange(tx, a, t.toTask()); err != nil {
			return err
		}
		if err := fn(c); err != nil || !c.IsChanged() {
			return err
		}
		if former := c.Superseded(); former != nil {
			if err := insertHandIn(tx, taskID, userID, *former); err != nil {
				return err
			}
		}
		if a.Withdrawn && c.Submission.Status != task.SubmissionDraft { // by a release that did not know of withdrawals when the student came back
			a.Withdrawn = false
			c.Task.AssignedCount++
		}
		sequence, err := s.appendEvents(ctx, tx, taskID, t.Sequence, c.Events())
		if err != nil {
			return err
		}
		if err := saveSubmission(tx, a, c.Submission); err != nil {
			return err
		}
		return saveTask(tx, newTaskRow(c.Task, sequence))
	})
	if err != nil {
		return task.Submission{}, err
	}
	if len(c.Events()) > 0 {
		s.notifyAppended()
	}
	return c.Submission, nil
}

// newSubmissionChange returns the submission of an assignment that is locked, and its task, before a change.
func newSubmissionChange(tx *gorm.DB, a assignmentRow, t task.Task) (*task.SubmissionChange, error) {
	c := &task.SubmissionChange{Task: t, Submission: task.Submission{TaskID: a.TaskID, UserID: a.UserID, DueAt: a.dueAt(t)}}
	if a.Version == 0 {
		return c, nil
	}
	var sub submissionRow
	if err := tx.Take(&sub, "task_id = ? AND user_id = ?", a.TaskID, a.UserID).Error; err != nil {
		return nil, fmt.Errorf("read submission: %w", err)
	}
	c.Submission = a.toSubmission(t, sub)
	counted, err := findCountedHandIns(tx, t, a)
	if h, ok := counted[a.UserID]; ok {
		c.Submission.CountedNumber = h.Number
	}
	return c, err
}

// SetExtension implements task.Writer.
func (s *Store) SetExtension(ctx context.Context, taskID, userID string, due *time.Time, check func(task.Task) error) error {
	return mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		var a assignmentRow
		if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&a, "task_id = ? AND user_id = ? AND withdrawn = FALSE", taskID, userID).Error; err != nil {
			return mysql.WrapNotFound(err, "lock assignment")
		}
		t, err := lockTask(tx, taskID)
		if err != nil {
			return err
		}
		if err := check(t.toTask()); err != nil {
			return err
		}
		if err := tx.Model(&assignmentRow{}).Where("task_id = ? AND user_id = ?", taskID, userID).UpdateColumn("extended_due_at", due).Error; err != nil {
			return fmt.Errorf("update extension: %w", err)
		}
		return mysql.RequireOneRow(tx.Model(&taskRow{}).Where("id = ?", taskID).UpdateColumn("revision", t.Revision+1), "update task's revision")
	})
}

// saveSubmission writes both rows of a submission.
func saveSubmission(tx *gorm.DB, a assignmentRow, sub task.Submission) error {
	if sub.HandIns > 1 {
		a.FirstSubmittedAt = a.firstSubmittedAt()
	}
	if sub.Status == task.SubmissionGraded && a.GradedNumber == nil {
		a.GradedNumber = &sub.CountedNumber
	}
	a.HandIns = sub.HandIns
	a.Status, a.Late, a.Score, a.Version, a.SubmittedAt, a.GradedAt = sub.Status, sub.Late, sub.Score, sub.Version, sub.SubmittedAt, sub.GradedAt
	if a.Status == task.SubmissionDraft {
		a.Status = task.SubmissionAssigned
	}
	row := submissionRow{TaskID: sub.TaskID, UserID: sub.UserID, Content: sub.Content, Feedback: sub.Feedback, UpdatedAt: sub.UpdatedAt}
	if err := tx.Clauses(clause.OnConflict{DoUpdates: clause.AssignmentColumns([]string{"content", "feedback", "updated_at"})}).Create(&row).Error; err != nil {
		return fmt.Errorf("save submission: %w", err)
	}
	return mysql.RequireOneRow(tx.Model(&a).Where("task_id = ? AND user_id = ?", a.TaskID, a.UserID).Select("status", "late", "score", "version", "submitted_at", "graded_at", "hand_ins", "first_submitted_at", "graded_number", "withdrawn").Updates(&a), "update assignment")
}

// lockTask locks a task's row. It returns not_found if the task does not exist.
func lockTask(tx *gorm.DB, id string) (taskRow, error) {
	var row taskRow
	err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&row, "id = ?", id).Error
	return row, mysql.WrapNotFound(err, "lock task")
}

func saveTask(tx *gorm.DB, row taskRow) error {
	return mysql.RequireOneRow(tx.Model(&row).Where("id = ?", row.ID).Select("*").Omit("id", "class_id", "created_by", "created_at").Updates(&row), "update task")
}

// addToAssignedCounts adds n to the count of each task's assignments. It must come last in a transaction, since students who hand
// in wait for these rows.
func addToAssignedCounts(tx *gorm.DB, n int, taskIDs ...string) error {
	for _, id := range taskIDs { // in the order in which all transactions lock them
		err := mysql.RequireOneRow(tx.Exec("UPDATE tasks SET assigned_count = assigned_count + ?, revision = revision + 1 WHERE id = ?", n, id), "update number of assignments")
		if err != nil {
			return err
		}
	}
	return nil
}

// insertAssignments inserts assignments, which must not exist yet.
func insertAssignments(tx *gorm.DB, rows []assignmentRow) error {
	if len(rows) == 0 {
		return nil
	}
	if err := tx.Create(&rows).Error; err != nil {
		return fmt.Errorf("insert assignments: %w", err)
	}
	return nil
}

func newAssignment(taskID, userID, classID string, now time.Time) assignmentRow {
	return assignmentRow{TaskID: taskID, UserID: userID, ClassID: classID, Status: task.SubmissionAssigned, AssignedAt: now}
}
