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

// Rows of the tables of the view. The row of a deleted or removed object stays, so that a late event does not bring it
// back. A row with sequence 0 stands for an object that is only known from objects that belong to it.
type (
	schoolRow struct {
		ID       string
		Name     *string
		Timezone *string
		Archived bool
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
		Archived   bool
		Deleted    bool
		Sequence   int64
		SweepUntil *time.Time // time after which nothing can be added to a deleted class; nil after its last sweep
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
func (s *Store) Apply(ctx context.Context, consumer, eventID string, change view.Change) error {
	if err := change.EnsureRows(ctx, s); err != nil {
		return err
	}
	return mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		first, err := inbox.RecordOnce(ctx, tx.Statement.ConnPool, consumer, eventID)
		if err != nil || !first {
			return err
		}
		return change.Apply(viewTx{tx})
	})
}

// EnsureSchoolRow implements view.Rows.
func (s *Store) EnsureSchoolRow(ctx context.Context, id string) error {
	return mysql.WrapNotFound(s.db.WithContext(ctx).Exec("INSERT INTO view_schools (id) VALUES (?) ON DUPLICATE KEY UPDATE id = VALUES(id)", id).Error, "insert school row")
}

// EnsureClassRow implements view.Rows.
func (s *Store) EnsureClassRow(ctx context.Context, id, schoolID string) error {
	var known int64
	if err := s.db.WithContext(ctx).Model(&classRow{}).Where("id = ?", id).Count(&known).Error; err != nil {
		return mysql.Wrap(err, "find class row")
	}
	if known > 0 {
		return nil
	}
	if err := s.EnsureSchoolRow(ctx, schoolID); err != nil {
		return err
	}
	return mysql.InTx(ctx, s.db, func(tx *gorm.DB) error {
		school, err := lockSchool(tx, schoolID) // so that the class is marked as deleted here or by the deletion of the school
		if err != nil {
			return err
		}
		err = tx.Exec("INSERT INTO view_classes (id, school_id, deleted) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE id = VALUES(id)", id, schoolID, school.Deleted).Error
		if err != nil {
			return fmt.Errorf("insert class row: %w", err)
		}
		return nil
	})
}

// viewTx implements view.Tx.
type viewTx struct{ db *gorm.DB }

// lockSchool locks a school, whose row must exist.
func lockSchool(tx *gorm.DB, id string) (schoolRow, error) {
	var row schoolRow
	if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&row, "id = ?", id).Error; err != nil {
		return row, fmt.Errorf("lock school: %w", err)
	}
	return row, nil
}

// lockClass locks a class, whose row must exist.
func lockClass(tx *gorm.DB, id string) (classRow, error) {
	var row classRow
	if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&row, "id = ?", id).Error; err != nil {
		return row, fmt.Errorf("lock class: %w", err)
	}
	return row, nil
}

// ApplySchool implements view.Tx.
func (t viewTx) ApplySchool(c view.School) error {
	row, err := lockSchool(t.db, c.ID)
	if err != nil || row.Deleted || c.Sequence <= row.Sequence {
		return err
	}
	return writeSchool(t.db, c)
}

// writeSchool writes a school that is locked. It deletes the members of a deleted school, and marks its classes as deleted.
func writeSchool(tx *gorm.DB, c view.School) error {
	err := mysql.RequireOneRow(tx.Exec("UPDATE view_schools SET name = ?, timezone = ?, archived = ?, deleted = ?, sequence = ? WHERE id = ?", nullIfEmpty(c.Name), nullIfEmpty(c.Timezone), c.Archived, c.Deleted, c.Sequence, c.ID), "update school")
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

// ApplyMember implements view.Tx.
func (t viewTx) ApplyMember(c view.Member) error {
	school, err := lockSchool(t.db, c.SchoolID)
	if err != nil || school.Deleted {
		return err
	}
	return writeMember(t.db, c)
}

// writeMember writes a membership in a school that is locked, unless the stored one is as new.
func writeMember(tx *gorm.DB, c view.Member) error {
	// The sequence comes last: in MySQL an assignment sees the new values of those to its left.
	err := tx.Exec(`INSERT INTO view_school_members (school_id, user_id, role, removed, sequence) VALUES (?, ?, ?, ?, ?)
		ON DUPLICATE KEY UPDATE role = IF(VALUES(sequence) > sequence, VALUES(role), role), removed = IF(VALUES(sequence) > sequence, VALUES(removed), removed),
		sequence = GREATEST(sequence, VALUES(sequence))`, c.SchoolID, c.UserID, c.Role, c.Removed, c.Sequence).Error
	if err != nil {
		return fmt.Errorf("write member: %w", err)
	}
	return nil
}

// ApplyPerson implements view.Tx.
func (t viewTx) ApplyPerson(c view.Person) error {
	// Nothing can follow the deletion of an account.
	err := t.db.Exec(`INSERT INTO people (id, name, email, deleted, sequence) VALUES (?, ?, ?, ?, ?)
		ON DUPLICATE KEY UPDATE name = IF(VALUES(sequence) > sequence AND NOT deleted, VALUES(name), name),
		email = IF(VALUES(sequence) > sequence AND NOT deleted, VALUES(email), email),
		deleted = IF(VALUES(sequence) > sequence, deleted OR VALUES(deleted), deleted),
		sequence = GREATEST(sequence, VALUES(sequence))`, c.ID, nullIfEmpty(c.Name), nullIfEmpty(c.Email), c.Deleted, c.Sequence).Error
	if err != nil {
		return fmt.Errorf("write person: %w", err)
	}
	return nil
}

// ApplyClass implements view.Tx.
func (t viewTx) ApplyClass(c view.Class) error {
	row, err := lockClass(t.db, c.ID)
	if err != nil || row.Deleted || c.Sequence <= row.Sequence {
		return err
	}
	return writeClass(t.db, c)
}

// writeClass writes a class that is locked. It schedules the sweep of a deleted class.
func writeClass(tx *gorm.DB, c view.Class) error {
	sweep := "NULL"
	if c.Deleted {
		sweep = sweepUntil
	}
	return mysql.RequireOneRow(tx.Exec("UPDATE view_classes SET school_id = ?, name = ?, archived = ?, deleted = ?, sequence = ?, sweep_until = "+sweep+" WHERE id = ?", c.SchoolID, nullIfEmpty(c.Name), c.Archived, c.Deleted, c.Sequence, c.ID), "update class")
}

// nullIfEmpty returns NULL for a text that is empty because it is not known.
func nullIfEmpty(name string) *string {
	if name == "" {
		return nil
	}
	return &name
}
