package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"pgo/pkg/inbox"
	"pgo/pkg/mysql"
	"pgo/services/task/view"
)

// The tables of the view. A row of something that is deleted or removed stays, so that a late event does not bring it
// back; one with sequence 0 stands for something that is only known from what belongs to it.
type (
	schoolRow struct {
		ID       string
		Name     *string
		Deleted  bool
		Sequence int64
	}
	memberRow struct {
		SchoolID string
		UserID   string
		Role     string
		Removed  bool
		Sequence int64
	}
	classRow struct {
		ID         string
		SchoolID   string
		Name       *string
		Deleted    bool
		Sequence   int64
		SweepUntil *time.Time // when nothing can be added any more to a deleted class
	}
	classMemberRow struct {
		ClassID  string
		UserID   string
		Role     string
		Removed  bool
		Sequence int64
	}
)

func (schoolRow) TableName() string      { return "view_schools" }
func (memberRow) TableName() string      { return "view_school_members" }
func (classRow) TableName() string       { return "view_classes" }
func (classMemberRow) TableName() string { return "view_class_members" }

// Apply implements events.View.
func (s *Store) Apply(ctx context.Context, consumer, eventID string, change any) error {
	if err := s.ensureRows(ctx, change); err != nil {
		return err
	}
	return mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		first, err := inbox.RecordOnce(ctx, tx.Statement.ConnPool, consumer, eventID)
		if err != nil || !first {
			return err
		}
		switch c := change.(type) {
		case view.School:
			return applySchool(tx, c)
		case view.Member:
			return applyMember(tx, c)
		case view.Class:
			return applyClass(tx, c)
		case view.ClassMember:
			return applyClassMember(tx, c)
		case view.Person:
			return applyPerson(tx, c)
		}
		return fmt.Errorf("%T is not part of the view", change)
	})
}

// ensureRows sees to it that the school and the class that a change is about have a row that can be locked. Once there,
// rows stay.
func (s *Store) ensureRows(ctx context.Context, change any) error {
	switch c := change.(type) {
	case view.School:
		return s.ensureSchoolRow(ctx, c.ID)
	case view.Member:
		return s.ensureSchoolRow(ctx, c.SchoolID)
	case view.Class:
		return s.ensureClassRow(ctx, c.ID, c.SchoolID)
	case view.ClassMember:
		return s.ensureClassRow(ctx, c.ClassID, c.SchoolID)
	}
	return nil
}

func (s *Store) ensureSchoolRow(ctx context.Context, id string) error {
	return mysql.WrapNotFound(s.db.WithContext(ctx).Exec("INSERT INTO view_schools (id) VALUES (?) ON DUPLICATE KEY UPDATE id = VALUES(id)", id).Error, "make room for a school")
}

func (s *Store) ensureClassRow(ctx context.Context, id, schoolID string) error {
	var known int64
	if err := s.db.WithContext(ctx).Model(&classRow{}).Where("id = ?", id).Count(&known).Error; err != nil {
		return mysql.Wrap(err, "look for a class")
	}
	if known > 0 {
		return nil
	}
	if err := s.ensureSchoolRow(ctx, schoolID); err != nil {
		return err
	}
	return mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		school, err := lockSchool(tx, schoolID) // so that the class learns of the school's end now or then
		if err != nil {
			return err
		}
		err = tx.Exec("INSERT INTO view_classes (id, school_id, deleted) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE id = VALUES(id)", id, schoolID, school.Deleted).Error
		if err != nil {
			return fmt.Errorf("make room for a class: %w", err)
		}
		return nil
	})
}

func lockSchool(tx *gorm.DB, id string) (schoolRow, error) {
	var row schoolRow
	if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&row, "id = ?", id).Error; err != nil {
		return row, fmt.Errorf("lock school: %w", err)
	}
	return row, nil
}

func lockClass(tx *gorm.DB, id string) (classRow, error) {
	var row classRow
	if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&row, "id = ?", id).Error; err != nil {
		return row, fmt.Errorf("lock class: %w", err)
	}
	return row, nil
}

func applySchool(tx *gorm.DB, c view.School) error {
	row, err := lockSchool(tx, c.ID)
	if err != nil || row.Deleted || c.Sequence <= row.Sequence {
		return err
	}
	return writeSchool(tx, c)
}

// writeSchool writes a school that is locked. A deleted one takes its members, its classes and their tasks with it.
func writeSchool(tx *gorm.DB, c view.School) error {
	err := mysql.RequireOneRow(tx.Exec("UPDATE view_schools SET name = ?, deleted = ?, sequence = ? WHERE id = ?", nullIfEmpty(c.Name), c.Deleted, c.Sequence, c.ID), "update school")
	if err != nil || !c.Deleted {
		return err
	}
	if err := tx.Where("school_id = ?", c.ID).Delete(&memberRow{}).Error; err != nil {
		return fmt.Errorf("delete the members of a deleted school: %w", err)
	}
	if err := tx.Exec("UPDATE view_classes SET deleted = TRUE, sweep_until = "+sweepUntil+" WHERE school_id = ? AND deleted = FALSE", c.ID).Error; err != nil {
		return fmt.Errorf("delete the classes of a deleted school: %w", err)
	}
	return nil
}

func applyMember(tx *gorm.DB, c view.Member) error {
	school, err := lockSchool(tx, c.SchoolID)
	if err != nil || school.Deleted {
		return err
	}
	return writeMember(tx, c)
}

// writeMember writes somebody's part in a school that is locked, unless what is known is as new.
func writeMember(tx *gorm.DB, c view.Member) error {
	// The sequence is set last: MySQL uses new values in the assignments to their right.
	err := tx.Exec(`INSERT INTO view_school_members (school_id, user_id, role, removed, sequence) VALUES (?, ?, ?, ?, ?)
		ON DUPLICATE KEY UPDATE role = IF(VALUES(sequence) > sequence, VALUES(role), role), removed = IF(VALUES(sequence) > sequence, VALUES(removed), removed),
		sequence = GREATEST(sequence, VALUES(sequence))`, c.SchoolID, c.UserID, c.Role, c.Removed, c.Sequence).Error
	if err != nil {
		return fmt.Errorf("write member: %w", err)
	}
	return nil
}

func applyPerson(tx *gorm.DB, c view.Person) error {
	// A deletion is the last thing that happens to somebody.
	err := tx.Exec(`INSERT INTO people (id, name, deleted, sequence) VALUES (?, ?, ?, ?)
		ON DUPLICATE KEY UPDATE name = IF(VALUES(sequence) > sequence AND NOT deleted, VALUES(name), name),
		deleted = IF(VALUES(sequence) > sequence, deleted OR VALUES(deleted), deleted),
		sequence = GREATEST(sequence, VALUES(sequence))`, c.ID, nullIfEmpty(c.Name), c.Deleted, c.Sequence).Error
	if err != nil {
		return fmt.Errorf("write person: %w", err)
	}
	return nil
}

func applyClass(tx *gorm.DB, c view.Class) error {
	row, err := lockClass(tx, c.ID)
	if err != nil || row.Deleted || c.Sequence <= row.Sequence {
		return err
	}
	return writeClass(tx, c)
}

// writeClass writes a class that is locked. A deleted one takes its tasks with it.
func writeClass(tx *gorm.DB, c view.Class) error {
	sweep := "NULL"
	if c.Deleted {
		sweep = sweepUntil
	}
	return mysql.RequireOneRow(tx.Exec("UPDATE view_classes SET school_id = ?, name = ?, deleted = ?, sequence = ?, sweep_until = "+sweep+" WHERE id = ?", c.SchoolID, nullIfEmpty(c.Name), c.Deleted, c.Sequence, c.ID), "update class")
}

// nullIfEmpty is NULL for a name that is not known.
func nullIfEmpty(name string) *string {
	if name == "" {
		return nil
	}
	return &name
}
