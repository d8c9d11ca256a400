package store

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"pgo/pkg/mysql"
	"pgo/services/task"
	"pgo/services/task/view"
)

// ApplyClassMember implements view.Tx. It also assigns tasks to new students, withdraws them from former students, and gives them back to those who return.
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

// enrolStudent assigns the open tasks of a class, which is locked, to a new student, and gives a former student the tasks and
// drafts back that were withdrawn. A task that is being published is not
// among them: its fan-out starts after the lock is released and finds the student.
func enrolStudent(tx *gorm.DB, classID, userID string) error {
	var open, assigned []string
	if err := tx.Model(&taskRow{}).Where("class_id = ? AND status = ?", classID, task.StatusPublished).Order("id").Pluck("id", &open).Error; err != nil {
		return fmt.Errorf("read open tasks: %w", err)
	}
	if err := tx.Model(&assignmentRow{}).Where("user_id = ? AND class_id = ?", userID, classID).Order("task_id").Pluck("task_id", &assigned).Error; err != nil {
		return fmt.Errorf("read assignments: %w", err)
	}
	restored, err := setWithdrawn(tx, classID, userID, false)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	var rows []assignmentRow
	ids := restored
	for _, id := range open {
		if _, has := slices.BinarySearch(assigned, id); !has {
			rows = append(rows, newAssignment(id, userID, classID, now))
			ids = append(ids, id)
		}
	}
	if err := insertAssignments(tx, rows); err != nil {
		return err
	}
	slices.Sort(ids)
	return addToAssignedCounts(tx, 1, ids...)
}

// unenrolStudent withdraws the tasks of a person who is no longer a student of a class, which is locked, unless they were
// handed in. Drafts are kept: the person may return.
func unenrolStudent(tx *gorm.DB, classID, userID string) error {
	ids, err := setWithdrawn(tx, classID, userID, true)
	if err != nil {
		return err
	}
	return addToAssignedCounts(tx, -1, ids...)
}

// setWithdrawn withdraws the tasks of a class that a student has not handed in, or gives them back, and returns the ids of the
// tasks in order.
func setWithdrawn(tx *gorm.DB, classID, userID string, withdrawn bool) ([]string, error) {
	var ids []string // a locking read, since the student may be handing in
	err := tx.Model(&assignmentRow{}).Clauses(clause.Locking{Strength: "UPDATE"}).
		Where("user_id = ? AND class_id = ? AND status = ? AND withdrawn = ?", userID, classID, task.SubmissionAssigned, !withdrawn).Order("task_id").Pluck("task_id", &ids).Error
	if err != nil {
		return nil, fmt.Errorf("lock assignments: %w", err)
	}
	for _, id := range ids {
		err := mysql.RequireOneRow(tx.Model(&assignmentRow{}).Where("task_id = ? AND user_id = ?", id, userID).UpdateColumn("withdrawn", withdrawn), "update assignment")
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}
