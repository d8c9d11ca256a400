package store

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"pgo/pkg/inbox"
	"pgo/pkg/mysql"
	"pgo/pkg/problem"
	"pgo/services/school"
)

// consumer is the name under which the inbox records User's events: the name of their queue.
const consumer = "school.events"

// RenamePerson implements school.PeopleStore.
func (s *Store) RenamePerson(ctx context.Context, eventID string, p school.Person) error {
	return s.inTx(ctx, func(db *gorm.DB, _ *postCommit) error {
		row, err := s.lockForNewEvent(ctx, db, eventID, p)
		if err != nil || row == nil || row.Deleted {
			return err
		}
		renamed := row.Name != p.Name
		row.Name, row.Sequence = p.Name, p.Sequence
		if err := savePerson(db, *row); err != nil || !renamed {
			return err
		}
		// Memberships in schools come first: a person who is added to a class meanwhile gets the name from there, under
		// the school's lock.
		for _, table := range []any{&memberRow{}, &classMemberRow{}} {
			if err := db.Model(table).Where("user_id = ?", p.UserID).UpdateColumn("name", p.Name).Error; err != nil {
				return fmt.Errorf("rename member: %w", err)
			}
		}
		return nil
	})
}

// ForgetPerson implements school.PeopleStore.
func (s *Store) ForgetPerson(ctx context.Context, eventID string, p school.Person, leave func(school.Tx, school.Member) error) error {
	return s.inTx(ctx, func(db *gorm.DB, later *postCommit) error {
		row, err := s.lockForNewEvent(ctx, db, eventID, p)
		if err != nil || row == nil || row.Deleted {
			return err
		}
		if err := savePerson(db, personRow{UserID: p.UserID, Deleted: true, Sequence: p.Sequence}); err != nil {
			return err
		}
		if err := db.Where("user_id = ?", p.UserID).Delete(&removedMemberRow{}).Error; err != nil {
			return fmt.Errorf("delete removals of a deleted person: %w", err)
		}
		// The person's lock prevents new memberships. Schools are locked one after the other, so they need a fixed order.
		var ids []string
		err = db.Table("school_members m").Joins("JOIN schools s ON s.id = m.school_id").Where("m.user_id = ?", p.UserID).Order("m.school_id").Pluck("m.school_id", &ids).Error
		if err != nil {
			return fmt.Errorf("find schools of a deleted person: %w", err)
		}
		for _, id := range ids {
			if err := s.removeFromSchool(ctx, db, later, id, p.UserID, leave); err != nil {
				return err
			}
		}
		return nil
	})
}

// removeFromSchool calls leave for one school, unless the person left it or it was deleted meanwhile.
func (s *Store) removeFromSchool(ctx context.Context, db *gorm.DB, later *postCommit, schoolID, userID string, leave func(school.Tx, school.Member) error) error {
	t, err := s.lockSchool(ctx, db, later, schoolID)
	if err != nil {
		return ignoreNotFound(err)
	}
	m, err := t.FindMember(userID)
	if err != nil {
		return ignoreNotFound(err)
	}
	if err := leave(t, m); err != nil {
		return err
	}
	return t.saveSequence()
}

func ignoreNotFound(err error) error {
	if errors.Is(err, problem.NotFound()) {
		return nil
	}
	return err
}

// lockForNewEvent records the event in the inbox and locks the person. It returns nil if the event was handled before or is
// not newer than what is stored about the person.
func (s *Store) lockForNewEvent(ctx context.Context, db *gorm.DB, eventID string, p school.Person) (*personRow, error) {
	first, err := inbox.RecordOnce(ctx, db.Statement.ConnPool, consumer, eventID)
	if err != nil || !first {
		return nil, err
	}
	row, err := lockPerson(db, p.UserID)
	if err != nil || row.Sequence >= p.Sequence {
		return nil, err
	}
	return &row, nil
}

// lockPerson locks a person's row, and inserts it first if there is none.
func lockPerson(db *gorm.DB, userID string) (personRow, error) {
	row := personRow{UserID: userID}
	// There is no SELECT before the INSERT: two transactions that find nothing would lock the gap and then deadlock.
	if err := db.Clauses(clause.OnConflict{DoUpdates: clause.AssignmentColumns([]string{"user_id"})}).Create(&row).Error; err != nil {
		return row, fmt.Errorf("insert person: %w", err)
	}
	err := db.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&row, "user_id = ?", userID).Error
	return row, mysql.Wrap(err, "lock person")
}

// lockExistingPerson does what lockPerson does, and returns school.ErrAccountDeleted if the person's account was deleted.
func lockExistingPerson(db *gorm.DB, userID string) error {
	row, err := lockPerson(db, userID)
	if err == nil && row.Deleted {
		err = school.ErrAccountDeleted
	}
	return err
}

func savePerson(db *gorm.DB, row personRow) error {
	return mysql.RequireOneRow(db.Model(&row).Where("user_id = ?", row.UserID).Select("name", "deleted", "sequence").Updates(&row), "update person")
}

// lockedName returns the name of a person who is locked, "" while it is not known.
func lockedName(db *gorm.DB, userID string) (string, error) {
	var row personRow
	err := db.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&row, "user_id = ?", userID).Error
	return row.Name, mysql.Wrap(err, "read person's name")
}
