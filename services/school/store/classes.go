package store

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm/clause"

	"pgo/pkg/cache"
	"pgo/pkg/mysql"
	"pgo/pkg/problem"
	"pgo/services/school"
)

// Class implements school.Tx.
func (t *tx) Class(id string) (school.Class, error) {
	row, err := t.classRow(id)
	return row.class(), err
}

func (t *tx) classRow(id string) (classRow, error) {
	var row classRow
	err := t.locked().Take(&row, "id = ? AND school_id = ?", id, t.school.ID).Error
	return row, mysql.Found(err, "lock class")
}

// AddClass implements school.Tx.
func (t *tx) AddClass(c school.Class) error {
	row := classRowOf(c, 1)
	if err := t.db.Create(&row).Error; err != nil {
		return fmt.Errorf("insert class: %w", err)
	}
	t.putClass(c)
	return t.append(school.EventClassCreated, c.ID, row.Sequence, c)
}

// SaveClass implements school.Tx.
func (t *tx) SaveClass(c school.Class) error {
	sequence, err := t.emitOfClass(c.ID, school.EventClassUpdated, c)
	if err != nil {
		return err
	}
	row := classRowOf(c, sequence)
	t.putClass(c)
	return mysql.OneRow(t.db.Model(&row).Where("id = ?", c.ID).Select("*").Omit("id", "school_id", "created_at").Updates(&row), "update class")
}

// DeleteClass implements school.Tx.
func (t *tx) DeleteClass(c school.Class) error {
	if _, err := t.emitOfClass(c.ID, school.EventClassDeleted, school.ClassDeletedData{ID: c.ID, SchoolID: c.SchoolID}); err != nil {
		return err
	}
	if err := t.db.Where("class_id = ?", c.ID).Delete(&classMemberRow{}).Error; err != nil {
		return fmt.Errorf("delete class members: %w", err)
	}
	t.later(func(ctx context.Context) { t.store.cache.Delete(ctx, classKey(c.ID)) })
	return mysql.OneRow(t.db.Where("id = ?", c.ID).Delete(&classRow{}), "delete class")
}

// ClassMember implements school.Tx.
func (t *tx) ClassMember(classID, userID string) (school.ClassMember, error) {
	row, err := t.classMemberRow(classID, userID)
	return row.member(), err
}

func (t *tx) classMemberRow(classID, userID string) (classMemberRow, error) {
	var row classMemberRow
	err := t.locked().Take(&row, "class_id = ? AND user_id = ?", classID, userID).Error
	return row, mysql.Found(err, "lock class member")
}

// ClassesOf implements school.Tx.
func (t *tx) ClassesOf(userID string, teaching bool) ([]school.ClassMember, error) {
	q := t.locked().Where("user_id = ? AND school_id = ?", userID, t.school.ID)
	if teaching {
		q = q.Where("role = ?", school.RoleTeacher)
	}
	var rows []classMemberRow
	if err := q.Order("class_id").Find(&rows).Error; err != nil {
		return nil, mysql.Failed(err, "lock places in classes")
	}
	places := make([]school.ClassMember, len(rows))
	for i, r := range rows {
		places[i] = r.member()
	}
	return places, nil
}

// SetClassMember implements school.Tx.
func (t *tx) SetClassMember(m school.ClassMember) (school.ClassMember, error) {
	row, err := t.classMemberRow(m.ClassID, m.UserID)
	if errors.Is(err, problem.NotFound()) {
		// The school's row has the name, and is locked before a rename gets to the class's.
		var inSchool memberRow
		inSchool, err = t.memberRow(m.UserID)
		row.Name = inSchool.Name
	}
	if err != nil {
		return m, err
	}
	sequence, err := t.emitOfClass(m.ClassID, school.EventClassMemberAdded, school.ClassDataOf(m))
	if err != nil {
		return m, err
	}
	row = classMemberRow{
		ClassID: m.ClassID, UserID: m.UserID, SchoolID: t.school.ID, Role: m.Role, Name: row.Name, Version: sequence, CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt,
	}
	if err := t.db.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error; err != nil {
		return m, fmt.Errorf("write class member: %w", err)
	}
	return row.member(), nil
}

// RemoveClassMember implements school.Tx.
func (t *tx) RemoveClassMember(m school.ClassMember) error {
	if _, err := t.emitOfClass(m.ClassID, school.EventClassMemberRemoved, school.ClassDataOf(m)); err != nil {
		return err
	}
	return mysql.OneRow(t.db.Where("class_id = ? AND user_id = ?", m.ClassID, m.UserID).Delete(&classMemberRow{}), "delete class member")
}

// emitOfClass locks the class, puts an event about it into the outbox and returns its sequence.
func (t *tx) emitOfClass(classID, typ string, data any) (int64, error) {
	row, err := t.classRow(classID)
	if err != nil {
		return 0, err
	}
	row.Sequence++
	if err := mysql.OneRow(t.db.Model(&classRow{}).Where("id = ?", classID).UpdateColumn("sequence", row.Sequence), "update class's sequence"); err != nil {
		return 0, err
	}
	return row.Sequence, t.append(typ, classID, row.Sequence, data)
}

func (t *tx) putClass(c school.Class) {
	t.later(func(ctx context.Context) { cache.Put(ctx, t.store.cache, classKey(c.ID), c.Version, c) })
}
