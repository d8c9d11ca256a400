package store

import (
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm/clause"

	"pgo/pkg/mysql"
	"pgo/pkg/problem"
	"pgo/services/school"
)

// FindMember implements school.View.
func (t *tx) FindMember(userID string) (school.Member, error) {
	row, err := t.findMemberRow(userID)
	return row.toMember(), err
}

func (t *tx) findMemberRow(userID string) (memberRow, error) {
	var row memberRow
	err := t.rows().Take(&row, "school_id = ? AND user_id = ?", t.school.ID, userID).Error
	return row, mysql.WrapNotFound(err, "read member")
}

// HasOtherOwner implements school.Tx.
func (t *tx) HasOtherOwner(userID string) (bool, error) {
	var ids []string
	err := t.rows().Model(&memberRow{}).Where("school_id = ? AND role = ? AND user_id <> ?", t.school.ID, school.RoleOwner, userID).Limit(1).Pluck("user_id", &ids).Error
	return len(ids) > 0, mysql.Wrap(err, "find another owner")
}

// FindSuccessor implements school.Tx.
func (t *tx) FindSuccessor() (school.Member, error) {
	var row memberRow
	err := t.rows().Where("school_id = ? AND role = ?", t.school.ID, school.RoleAdmin).Order("role_since, user_id").Take(&row).Error
	return row.toMember(), mysql.WrapNotFound(err, "find successor")
}

// SetMember implements school.Tx.
func (t *tx) SetMember(m school.Member) (school.Member, error) {
	row, err := t.findMemberRow(m.UserID)
	added := errors.Is(err, problem.NotFound())
	if err != nil && !added {
		return m, err
	}
	typ := school.EventMemberChanged
	if added {
		typ = school.EventMemberAdded
		if row.Name, err = lockedName(t.db, m.UserID); err != nil {
			return m, err
		}
	}
	if err := t.emitSchoolEvent(typ, school.NewMemberData(m)); err != nil {
		return m, err
	}
	row = memberRow{
		SchoolID: t.school.ID, UserID: m.UserID, Role: m.Role, RoleSince: m.UpdatedAt, Name: row.Name, Version: t.school.Sequence,
		CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt,
	}
	if err := t.db.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error; err != nil {
		return m, fmt.Errorf("write member: %w", err)
	}
	return row.toMember(), nil
}

// RemoveMember implements school.Tx.
func (t *tx) RemoveMember(m school.Member) error {
	if err := t.emitSchoolEvent(school.EventMemberRemoved, school.NewMemberData(m)); err != nil {
		return err
	}
	return mysql.RequireOneRow(t.db.Where("school_id = ? AND user_id = ?", t.school.ID, m.UserID).Delete(&memberRow{}), "delete member")
}

// removedMemberRow is a row of the table removed_members.
type removedMemberRow struct {
	SchoolID  string `gorm:"primaryKey"`
	UserID    string `gorm:"primaryKey"`
	RemovedAt time.Time
}

func (removedMemberRow) TableName() string { return "removed_members" }

// BanFromInvites implements school.Tx.
func (t *tx) BanFromInvites(userID string, removedAt time.Time) error {
	row := removedMemberRow{SchoolID: t.school.ID, UserID: userID, RemovedAt: removedAt}
	return mysql.Wrap(t.db.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error, "write removal")
}

// FindRemoval implements school.View.
func (t *tx) FindRemoval(userID string) (time.Time, bool, error) {
	var row removedMemberRow
	err := mysql.WrapNotFound(t.rows().Take(&row, "school_id = ? AND user_id = ?", t.school.ID, userID).Error, "read removal")
	if errors.Is(err, problem.NotFound()) {
		return time.Time{}, false, nil
	}
	return row.RemovedAt, err == nil, err
}
