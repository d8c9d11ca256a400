package store

import (
	"errors"
	"fmt"

	"gorm.io/gorm/clause"

	"pgo/pkg/mysql"
	"pgo/pkg/problem"
	"pgo/services/school"
)

// Member implements school.Tx.
func (t *tx) Member(userID string) (school.Member, error) {
	row, err := t.memberRow(userID)
	return row.member(), err
}

func (t *tx) memberRow(userID string) (memberRow, error) {
	var row memberRow
	err := t.locked().Take(&row, "school_id = ? AND user_id = ?", t.school.ID, userID).Error
	return row, mysql.Found(err, "lock member")
}

// AnotherOwner implements school.Tx.
func (t *tx) AnotherOwner(userID string) (bool, error) {
	var ids []string
	err := t.locked().Model(&memberRow{}).Where("school_id = ? AND role = ? AND user_id <> ?", t.school.ID, school.RoleOwner, userID).Limit(1).Pluck("user_id", &ids).Error
	return len(ids) > 0, mysql.Failed(err, "look for another owner")
}

// Heir implements school.Tx.
func (t *tx) Heir() (school.Member, error) {
	var row memberRow
	err := t.locked().Where("school_id = ? AND role = ?", t.school.ID, school.RoleAdmin).Order("role_since, user_id").Take(&row).Error
	return row.member(), mysql.Found(err, "look for an heir")
}

// SetMember implements school.Tx.
func (t *tx) SetMember(m school.Member) (school.Member, error) {
	row, err := t.memberRow(m.UserID)
	added := errors.Is(err, problem.NotFound())
	if err != nil && !added {
		return m, err
	}
	typ := school.EventMemberChanged
	if added {
		typ = school.EventMemberAdded
		if row.Name, err = nameOf(t.db, m.UserID); err != nil {
			return m, err
		}
	}
	if err := t.emit(typ, school.DataOf(m)); err != nil {
		return m, err
	}
	row = memberRow{
		SchoolID: t.school.ID, UserID: m.UserID, Role: m.Role, RoleSince: m.UpdatedAt, Name: row.Name, Version: t.school.Sequence,
		CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt,
	}
	if err := t.db.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error; err != nil {
		return m, fmt.Errorf("write member: %w", err)
	}
	return row.member(), nil
}

// RemoveMember implements school.Tx.
func (t *tx) RemoveMember(m school.Member) error {
	if err := t.emit(school.EventMemberRemoved, school.DataOf(m)); err != nil {
		return err
	}
	return mysql.OneRow(t.db.Where("school_id = ? AND user_id = ?", t.school.ID, m.UserID).Delete(&memberRow{}), "delete member")
}
