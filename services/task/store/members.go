package store

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"pgo/services/task"
	"pgo/services/task/view"
)

func applyClassMember(tx *gorm.DB, c view.ClassMember) error {
	class, err := lockClass(tx, c.ClassID)
	if err != nil || class.Deleted {
		return err
	}
	var known classMemberRow
	err = tx.Take(&known, "class_id = ? AND user_id = ?", c.ClassID, c.UserID).Error
	if err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		return fmt.Errorf("read class member: %w", err)
	}
	if c.Sequence <= known.Sequence {
		return nil
	}
	if err := writeClassMember(tx, c); err != nil {
		return err
	}
	was := known.Sequence > 0 && !known.Removed && known.Role == task.RoleStudent
	is := !c.Removed && c.Role == task.RoleStudent
	switch {
	case is && !was:
		return enrolStudent(tx, c.ClassID, c.UserID)
	case was && !is:
		return unenrolStudent(tx, c.ClassID, c.UserID)
	}
	return nil
}

// writeClassMember writes somebody's part in a class that is locked.
func writeClassMember(tx *gorm.DB, c view.ClassMember) error {
	err := tx.Exec(`INSERT INTO view_class_members (class_id, user_id, role, removed, sequence) VALUES (?, ?, ?, ?, ?)
		ON DUPLICATE KEY UPDATE role = VALUES(role), removed = VALUES(removed), sequence = VALUES(sequence)`, c.ClassID, c.UserID, c.Role, c.Removed, c.Sequence).Error
	if err != nil {
		return fmt.Errorf("write class member: %w", err)
	}
	return nil
}

// enrolStudent gives a new student of a class, which is locked, the tasks that are open. A task that is being published is not
// among them: its fan-out begins after the lock is gone and finds the student.
func enrolStudent(tx *gorm.DB, classID, userID string) error {
	var open, have []string
	if err := tx.Model(&taskRow{}).Where("class_id = ? AND status = ?", classID, task.StatusPublished).Order("id").Pluck("id", &open).Error; err != nil {
		return fmt.Errorf("read open tasks: %w", err)
	}
	if err := tx.Model(&assignmentRow{}).Where("user_id = ? AND class_id = ?", userID, classID).Order("task_id").Pluck("task_id", &have).Error; err != nil {
		return fmt.Errorf("read assignments: %w", err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	var rows []assignmentRow
	var ids []string
	for _, id := range open {
		if _, has := slices.BinarySearch(have, id); !has {
			rows = append(rows, newAssignment(id, userID, classID, now))
			ids = append(ids, id)
		}
	}
	if err := insertAssignments(tx, rows); err != nil {
		return err
	}
	return addToAssignedCounts(tx, 1, ids...)
}

// unenrolStudent takes back from somebody who is no student of a class any more, which is locked, what they have not handed in.
func unenrolStudent(tx *gorm.DB, classID, userID string) error {
	var ids []string // a locking read: somebody may be handing in
	err := tx.Model(&assignmentRow{}).Clauses(clause.Locking{Strength: "UPDATE"}).
		Where("user_id = ? AND class_id = ? AND status = ?", userID, classID, task.SubmissionAssigned).Order("task_id").Pluck("task_id", &ids).Error
	if err != nil {
		return fmt.Errorf("lock assignments: %w", err)
	}
	for _, id := range ids {
		for _, row := range []any{&assignmentRow{}, &submissionRow{}} { // an assignment, and a draft
			if err := tx.Where("task_id = ? AND user_id = ?", id, userID).Delete(row).Error; err != nil {
				return fmt.Errorf("take assignments back: %w", err)
			}
		}
	}
	return addToAssignedCounts(tx, -1, ids...)
}
