package store

import (
	"context"
	"fmt"
	"time"

	"pgo/pkg/inbox"
)

const (
	pruneBatch  = 1000
	keepInvites = 30 * 24 * time.Hour // after they are over, so that who comes late is told why
	keepHandled = 30 * 24 * time.Hour // longer than any event may come late
)

// deletedSchoolRow is the table deleted_schools.
type deletedSchoolRow struct {
	SchoolID string `gorm:"primaryKey"`
}

func (deletedSchoolRow) TableName() string { return "deleted_schools" }

// Prune removes what is over: what belonged to deleted schools, old invites, old inbox entries; each in small
// statements, so that no table is locked for long.
func (s *Store) Prune(ctx context.Context) error {
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

// clearDeletedSchool removes what belonged to a school; the note that there is something last, so that it goes on after a crash.
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
	for _, table := range []any{&memberRow{}, &inviteRow{}} {
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
