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

// ApplyClassMember implements view.Tx. It also assigns tasks to new students and withdraws them from former students.
func (t viewTx) ApplyClassMember(c view.ClassMember) error {
	class, err := lockClass(t.db, c.ClassID)
	if err != nil || class.Deleted {
		return err
	}
	var known classMemberRow
	err = t.db.Take(&known, "class_id = ? AND user_id = ?", c.ClassID, c.UserID).Error
	if err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		return fmt.Errorf("read class member: %w", err)
	}
	if c.Sequence <= known.Sequence {
		return nil
	}
	if err := writeClassMember(t.db, c); err != nil {
		return err
	}
	wasStudent := known.Sequence > 0 && !known.Removed && known.Role == task.RoleStudent
	isStudent := !c.Removed && c.Role == task.RoleStudent
	switch {
	case isStudent && !wasStudent:
		return enrolStudent(t.db, c.ClassID, c.UserID)
	case wasStudent && !isStudent:
		return unenrolStudent(t.db, c.ClassID, c.UserID)
	}
	return nil
}

// writeClassMember writes a membership in a class that is locked.
func writeClassMember(tx *gorm.DB, c view.ClassMember) error {
	err := tx.Exec(`INSERT INTO view_class_members (class_id, user_id, role, removed, sequence) VALUES (?, ?, ?, ?, ?)
		ON DUPLICATE KEY UPDATE role = VALUES(role), removed = VALUES(removed), sequence = VALUES(sequence)`, c.ClassID, c.UserID, c.Role, c.Removed, c.Sequence).Error
	if err != nil {
		return fmt.Errorf("write class member: %w", err)
	}
	return nil
}

// enrolStudent assigns the open tasks of a class, which is locked, to a new student. A task that is being published is not
// among them: its fan-out starts after the lock is released and finds the student.
func enrolStudent(tx *gorm.DB, classID, userID string) error {
	var open, assigned []string
	if err := tx.Model(&taskRow{}).Where("class_id = ? AND status = ?", classID, task.StatusPublished).Order("id").Pluck("id", &open).Error; err != nil {
		return fmt.Errorf("read open tasks: %w", err)
	}
	if err := tx.Model(&assignmentRow{}).Where("user_id = ? AND class_id = ?", userID, classID).Order("task_id").Pluck("task_id", &assigned).Error; err != nil {
		return fmt.Errorf("read assignments: %w", err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	var rows []assignmentRow
	var ids []string
	for _, id := range open {
		if _, has := slices.BinarySearch(assigned, id); !has {
			rows = append(rows, newAssignment(id, userID, classID, now))
			ids = append(ids, id)
		}
	}
	if err := insertAssignments(tx, rows); err != nil {
		return err
	}
	return addToAssignedCounts(tx, 1, ids...)
}

// unenrolStudent deletes the assignments and drafts of a person who is no longer a student of a class, which is locked, unless
// they were handed in.
func unenrolStudent(tx *gorm.DB, classID, userID string) error {
	var ids []string // a locking read, since the student may be handing in
	err := tx.Model(&assignmentRow{}).Clauses(clause.Locking{Strength: "UPDATE"}).
		Where("user_id = ? AND class_id = ? AND status = ?", userID, classID, task.SubmissionAssigned).Order("task_id").Pluck("task_id", &ids).Error
	if err != nil {
		return fmt.Errorf("lock assignments: %w", err)
	}
	for _, id := range ids {
		for _, row := range []any{&assignmentRow{}, &submissionRow{}} { // an assignment, and a draft
			if err := tx.Where("task_id = ? AND user_id = ?", id, userID).Delete(row).Error; err != nil {
				return fmt.Errorf("delete assignments: %w", err)
			}
		}
	}
	return addToAssignedCounts(tx, -1, ids...)
}
