package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"pgo/pkg/inbox"
	"pgo/services/school"
)

const (
	pruneBatch  = 1000
	keepInvites = 30 * 24 * time.Hour // after they expired, so that a person who comes late is told the reason
	keepHandled = 30 * 24 * time.Hour // longer than the delivery of any event may take
)

// deletedSchoolRow is a row of the table deleted_schools: a school whose rows in other tables are still to be removed.
type deletedSchoolRow struct {
	SchoolID string `gorm:"primaryKey"`
}

func (deletedSchoolRow) TableName() string { return "deleted_schools" }

// Prune deletes what is no longer needed: what was archived longer than school.KeepArchived ago, the rows of deleted schools,
// old invites and old inbox entries. It uses small statements, so that no table is locked for long.
func (s *Store) Prune(ctx context.Context) error {
	if err := s.deleteArchived(ctx); err != nil {
		return err
	}
	var schools []string
	if err := s.db.WithContext(ctx).Model(&deletedSchoolRow{}).Limit(pruneBatch).Pluck("school_id", &schools).Error; err != nil {
		return fmt.Errorf("find deleted schools: %w", err)
	}
	for _, id := range schools {
		if err := s.clearDeletedSchool(ctx, id); err != nil {
			return fmt.Errorf("clear deleted school %s: %w", id, err)
		}
	}
	if err := s.deleteInBatches(ctx, &inviteRow{}, "expires_at < ?", time.Now().UTC().Add(-keepInvites)); err != nil {
		return fmt.Errorf("delete old invites: %w", err)
	}
	pool, err := s.db.DB()
	if err != nil {
		return err
	}
	_, err = inbox.Prune(ctx, pool, consumer, keepHandled)
	return err
}

// deleteArchived deletes the classes and schools that can no longer be restored, each with its event.
func (s *Store) deleteArchived(ctx context.Context) error {
	before := time.Now().UTC().Add(-school.KeepArchived)
	var classes []classRow
	if err := s.db.WithContext(ctx).Where("archived_at < ?", before).Order("archived_at").Limit(pruneBatch).Find(&classes).Error; err != nil {
		return fmt.Errorf("find archived classes: %w", err)
	}
	for _, c := range classes {
		if err := s.deleteArchivedClass(ctx, c, before); err != nil {
			return fmt.Errorf("delete archived class %s: %w", c.ID, err)
		}
	}
	var schools []string
	if err := s.db.WithContext(ctx).Model(&schoolRow{}).Where("archived_at < ?", before).Order("archived_at").Limit(pruneBatch).Pluck("id", &schools).Error; err != nil {
		return fmt.Errorf("find archived schools: %w", err)
	}
	for _, id := range schools {
		if err := s.deleteArchivedSchool(ctx, id, before); err != nil {
			return fmt.Errorf("delete archived school %s: %w", id, err)
		}
	}
	return nil
}

// deleteArchivedClass deletes a class unless it, or its school, is being changed to another state meanwhile.
func (s *Store) deleteArchivedClass(ctx context.Context, c classRow, before time.Time) error {
	return s.inTx(ctx, func(db *gorm.DB, later *postCommit) error {
		t, err := s.lockSchool(ctx, db, later, c.SchoolID)
		if err != nil {
			return ignoreNotFound(err)
		}
		row, err := t.findClassRow(c.ID)
		if err != nil || row.ArchivedAt == nil || !row.ArchivedAt.Before(before) {
			return ignoreNotFound(err)
		}
		return t.deleteClass(row.toClass())
	})
}

// deleteArchivedSchool deletes a school unless it was restored meanwhile.
func (s *Store) deleteArchivedSchool(ctx context.Context, id string, before time.Time) error {
	return s.inTx(ctx, func(db *gorm.DB, later *postCommit) error {
		t, err := s.lockSchool(ctx, db, later, id)
		if err != nil || t.school.ArchivedAt == nil || !t.school.ArchivedAt.Before(before) {
			return ignoreNotFound(err)
		}
		return t.deleteSchool()
	})
}

// clearDeletedSchool deletes the rows of a deleted school. The school's row in deleted_schools goes last, so that the work
// continues after a crash.
func (s *Store) clearDeletedSchool(ctx context.Context, schoolID string) error {
	db := s.db.WithContext(ctx)
	for {
		var classes []string
		if err := db.Model(&classRow{}).Where("school_id = ?", schoolID).Limit(pruneBatch).Pluck("id", &classes).Error; err != nil {
			return err
		}
		for _, id := range classes {
			if err := s.deleteInBatches(ctx, &classMemberRow{}, "class_id = ?", id); err != nil {
				return err
			}
			if err := db.Where("id = ?", id).Delete(&classRow{}).Error; err != nil {
				return err
			}
		}
		if len(classes) < pruneBatch {
			break
		}
	}
	for _, table := range []any{&memberRow{}, &inviteRow{}, &removedMemberRow{}} {
		if err := s.deleteInBatches(ctx, table, "school_id = ?", schoolID); err != nil {
			return err
		}
	}
	return db.Where("school_id = ?", schoolID).Delete(&deletedSchoolRow{}).Error
}

func (s *Store) deleteInBatches(ctx context.Context, table any, where string, arg any) error {
	for {
		res := s.db.WithContext(ctx).Where(where, arg).Limit(pruneBatch).Delete(table)
		if res.Error != nil || res.RowsAffected < pruneBatch {
			return res.Error
		}
	}
}
